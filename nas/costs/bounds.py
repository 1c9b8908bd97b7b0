"""The exact lowest and highest value of each cost over a whole space, however large, also under limits.

Costs add up over independent choices, so without limits every choice takes its cheapest (or dearest) option. Under
limits the choices are made one after the other and only those beginnings are kept that no other betters in the cost
asked for and in every limited one: none that is dropped can lead to a better end. The peak of activations is no sum but
a maximum: a limit on it rules out options, and its own extremes are sought among the values that it can take.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.architecture import MOST_READS, Architecture
from nas.costs.costs import BYTES_PER_MB, COST_NAMES, cost_names, costs_of
from nas.costs.sub_block_costs import BYTES_PER_WEIGHT
from nas.costs.tables import SUMS, CostTables, PartTable
from nas.errors import InvalidInput
from nas.space import Genotype, PartKey, SearchSpace
from nas.workload import Workload

PEAK = "peak_activation_mb"
Extreme = tuple[float, Architecture]


@dataclass(frozen=True)
class Limit:
    """A limit on one cost: at most `value`, or at least."""

    cost: str
    value: float
    at_most: bool = True


def reach(
    space: SearchSpace, cost: str, workload: Workload, limits: Sequence[Limit] = ()
) -> tuple[Extreme, Extreme] | None:
    """Return ((lowest, an architecture that has it), (highest, one that has it)) of one cost, within the limits.

    None if no architecture keeps all limits. Raises `InvalidInput` for a cost that this family of models does not
    have, and for a limit of at least some peak of activations, which this does not answer.
    """
    return Bounds(space, workload).of(cost, limits)


class Bounds:
    """The extremes of the costs of one space at one workload."""

    def __init__(
        self,
        space: SearchSpace,
        workload: Workload,
        tables: CostTables | None = None,
        *,
        only_parameters: bool = False,
    ) -> None:
        """Count every sub-block of the space once, unless `tables` are given, or only parameters are asked for."""
        self.space, self.workload = space, workload
        self._tables = tables or CostTables(space, workload, only_parameters=only_parameters)
        self._frames = self._different_frames()
        deepest = sum(max(space.choices(stack).depth) for stack in space.stacks) * 4
        largest = max([t.sums.max(initial=0) for t in self._tables.parts.values()] + [self._tables.fixed_sums.max()])
        # Python's integers where numpy's could overflow
        self._dtype: Any = np.int64 if float(largest) * deepest * (1 + workload.output_length) < 2**62 else object

    def _different_frames(self) -> NDArray[np.int64]:
        """Return one frame of each group that costs the same: they have the same extremes."""
        tables = self._tables
        seen: dict[object, int] = {}
        for index in range(len(self.space.frames)):
            rows = tuple(int(part.rows[index]) for part in tables.parts.values())
            identity = (rows, tables.fixed_sums[index].tobytes(), tables.fixed_peaks[index].tobytes())
            seen.setdefault(identity, index)
        return np.array(sorted(seen.values()), dtype=np.int64)

    def of(self, cost: str, limits: Sequence[Limit] = ()) -> tuple[Extreme, Extreme] | None:
        """Return what `reach` returns."""
        for name in (cost, *(limit.cost for limit in limits)):
            self._check(name)
        wrong = [limit for limit in limits if limit.cost == PEAK and not limit.at_most]
        if wrong:
            raise InvalidInput.of("limits", f"{PEAK} >= {wrong[0].value:g}", f"{PEAK} <= …", "remove this limit")
        lowest, highest = (self._extreme(cost, sign, limits) for sign in (1, -1))
        if lowest is None or highest is None:
            return None
        return self._told(cost, lowest), self._told(cost, highest)

    def _check(self, cost: str) -> None:
        if cost not in COST_NAMES or cost not in cost_names(self.space.family):
            allowed = ", ".join(cost_names(self.space.family))
            raise InvalidInput.of("cost", cost, allowed, f"name one of these costs of the family {self.space.family}")

    def _told(self, cost: str, genotype: Genotype) -> Extreme:
        architecture = self.space.architecture(genotype)
        return costs_of(architecture, self.workload).named(self.space.family)[cost], architecture

    def _extreme(self, cost: str, sign: int, limits: Sequence[Limit]) -> Genotype | None:
        ceiling = _peak_ceiling(limits)
        columns = _Columns.of(cost, sign, [limit for limit in limits if limit.cost != PEAK], self.workload, self._dtype)
        if cost == PEAK:
            return self._peak_extreme(sign, columns, ceiling)
        best = self._search(columns, ceiling)
        return None if best is None else best[1]

    def _search(self, columns: _Columns, ceiling: float, forced: _Forced | None = None) -> tuple[int, Genotype] | None:
        """Return (signed value, choices) of the least first column within the bounds of the others."""
        best: tuple[int, Genotype] | None = None
        for least, frame, depths, reads in sorted(self._candidates(columns, ceiling), key=lambda found: found[0]):
            if best is not None and least >= best[0]:
                break
            for placed in forced.choices(self._tables, frame, reads) if forced else (None,):
                cell = _Cell(self.space, self._tables, columns, ceiling, frame, depths, reads, placed)
                best = (cell.solve(best) if cell.is_open else None) or best
                if best is not None and forced:
                    return best  # whether there is one is all that is asked
        return best

    def _candidates(self, columns: _Columns, ceiling: float) -> Iterator[tuple[int, int, tuple[int, ...], int]]:
        """Yield (a bound below the first column, frame, depths, reads) of every cell that may hold an answer."""
        tables, frames = self._tables, self._frames
        crossed = any(key.part == "cross" for key in tables.parts)
        repeats = np.array([self.space.frames[i].stacks["encoder"].repeats if crossed else 1 for i in frames])
        for reads in range(1, MOST_READS + 1 if crossed else 2):
            base = columns.of_sums(tables.fixed_sums[frames, reads - 1])
            possible = tables.fixed_peaks[frames, reads - 1] <= ceiling
            cheapest = {key: self._cheapest(key, columns, ceiling, reads) for key in tables.parts}
            for depths in self.space.depths:
                total, open_ = base, possible & (~np.bool_(crossed) | (depths[0] * repeats >= reads))
                for key, (least, there) in cheapest.items():
                    rows = tables.parts[key].rows[frames]
                    total = total + least[rows] * depths[self.space.stacks.index(key.stack)]
                    open_ = open_ & there[rows]
                for column, bound in enumerate(columns.bounds):
                    if bound is not None:
                        open_ = open_ & (total[:, column] <= bound).astype(np.bool_)
                for row in np.flatnonzero(open_):
                    yield total[row, 0], int(frames[row]), depths, reads

    def _cheapest(
        self, key: PartKey, columns: _Columns, ceiling: float, reads: int
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Return (rows, columns) the least that one layer adds to each column, and (rows,) whether it can be at all."""
        part = self._tables.parts[key]
        allowed = part.valid & (part.reads <= reads) & (part.peaks[:, :, reads - 1] <= ceiling)
        sums = columns.of_sums(part.sums)
        largest = abs(sums).max() + 1
        least: NDArray[Any] = np.where(allowed[:, :, None], sums, largest).min(axis=1)
        there: NDArray[np.bool_] = np.asarray(allowed.any(axis=1))
        return least, there

    def _peak_extreme(self, sign: int, columns: _Columns, ceiling: float) -> Genotype | None:
        values = self._peak_values(ceiling)
        if sign > 0:  # the least ceiling that leaves something
            low, high = 0, len(values) - 1
            if not values or self._search(columns, values[high]) is None:
                return None
            while low < high:
                middle = (low + high) // 2
                low, high = (low, middle) if self._search(columns, values[middle]) else (middle + 1, high)
            found = self._search(columns, values[low])
            return None if found is None else found[1]
        for value in reversed(values):  # the greatest value that something reaches
            found = self._search(columns, ceiling, _Forced(value))
            if found is not None:
                return found[1]
        return None

    def _peak_values(self, ceiling: float) -> list[int]:
        """Return every number of bytes that the peak may be, up to the ceiling, rising."""
        values = set(self._tables.fixed_peaks.ravel().tolist())
        for key, part in self._tables.parts.items():
            held = part.peaks[part.valid]
            values |= set(held.ravel().tolist())
            every = np.arange(len(self.space.frames))
            for reads, from_end in product(range(1, MOST_READS + 1), range(1, MOST_READS)):
                kept = self._tables.kept_bytes(key, every, np.full(len(every), reads), from_end)
                values |= {int(v) for more in np.unique(kept) for v in np.unique(held) + more}
        return sorted(v for v in values if v <= ceiling)


@dataclass(frozen=True)
class _Forced:
    """The peak that must be reached: by what is there once, or by one option of one part."""

    value: int

    def choices(self, tables: CostTables, frame: int, reads: int) -> Iterator[_Placed | None]:
        """Yield each placement that reaches the value; None where no layer is needed for it."""
        if tables.fixed_peaks[frame, reads - 1] == self.value:
            yield None
            return
        for key, part in tables.parts.items():
            row = part.rows[frame]
            held = part.peaks[row, :, reads - 1]
            for option in np.flatnonzero(part.valid[row]):
                if held[option] == self.value:
                    yield _Placed(key, int(option), from_end=0)
                for from_end in range(1, MOST_READS):
                    kept = _kept(tables, key, frame, reads, from_end)
                    if kept and held[option] + kept == self.value:
                        yield _Placed(key, int(option), from_end)


@dataclass(frozen=True)
class _Placed:
    """An option that some layer must take: any, or that many layers from the end."""

    key: PartKey
    option: int
    from_end: int


def _kept(tables: CostTables, key: PartKey, frame: int, reads: int, from_end: int) -> int:
    return int(tables.kept_bytes(key, np.array([frame]), np.array([reads]), from_end)[0])


@dataclass(frozen=True)
class _Columns:
    """The sums that matter: the one to minimise, then those with a bound."""

    weights: NDArray[Any]
    """(columns, len(SUMS)) integers."""
    bounds: tuple[int | None, ...]
    """The most that each column may come to; the first has none."""

    @classmethod
    def of(cls, cost: str, sign: int, limits: Sequence[Limit], workload: Workload, dtype: Any) -> _Columns:
        """Build from the cost asked for (of a peak, which is no sum, nothing) and the limits on sums."""
        rows = [np.zeros(len(SUMS), dtype=object) if cost == PEAK else sign * _weights(cost, workload)]
        bounds: list[int | None] = [None]
        for limit in limits:
            side = 1 if limit.at_most else -1
            rows.append(side * _weights(limit.cost, workload))
            bounds.append(side * _whole(limit))
        return cls(np.array(rows, dtype=dtype), tuple(bounds))

    def of_sums(self, sums: NDArray[Any]) -> NDArray[Any]:
        """Return (…, columns) of (…, len(SUMS))."""
        found: NDArray[Any] = sums.astype(self.weights.dtype) @ self.weights.T
        return found


def _weights(cost: str, workload: Workload) -> NDArray[Any]:
    shares: dict[str, dict[str, int]] = {
        "parameters": {"parameters": 1},
        "parameters_without_embeddings": {"parameters": 1, "embedding_parameters": -1},
        "macs": {"macs_prefill": 1, "macs_step": workload.output_length},
        "macs_prefill": {"macs_prefill": 1},
        "macs_step": {"macs_step": 1},
        "size_mb": {"parameters": 1},
        "size_int8_mb": {"int8_bytes": 1},
        "kv_cache_mb": {"cache_bytes": 1},
    }
    return np.array([shares[cost].get(name, 0) for name in SUMS], dtype=object)


def _unit(cost: str) -> float:
    """Return by what the whole number behind a cost is divided."""
    if cost == "size_mb":
        return BYTES_PER_MB / BYTES_PER_WEIGHT
    return BYTES_PER_MB if cost.endswith("_mb") else 1.0


def _whole(limit: Limit) -> int:
    """Return the whole number (parameters, MACs, bytes) that keeps a limit and is nearest to it."""
    unit = _unit(limit.cost)
    value = limit.value * unit
    return math.floor(value * (1 + 1e-15)) if limit.at_most else math.ceil(value * (1 - 1e-15))


def _peak_ceiling(limits: Sequence[Limit]) -> float:
    return min((float(_whole(limit)) for limit in limits if limit.cost == PEAK), default=math.inf)


@dataclass(frozen=True)
class _Step:
    """One choice still to be made: an option for these layers of a part."""

    key: PartKey
    layers: tuple[int, ...]
    options: tuple[int, ...]
    sums: NDArray[Any]
    """(options, columns), for all the layers together."""


class _Cell:
    """One frame with its numbers of layers, where the decoder reads `reads` encoder layers at most, and reads them."""

    def __init__(
        self,
        space: SearchSpace,
        tables: CostTables,
        columns: _Columns,
        ceiling: float,
        frame: int,
        depths: tuple[int, ...],
        reads: int,
        placed: _Placed | None,
    ) -> None:
        self._frame, self._columns = frame, columns
        self._space, self._tables = space, tables
        self._ceiling, self._depths, self._reads, self._placed = ceiling, depths, reads, placed
        self._base = columns.of_sums(tables.fixed_sums[frame, reads - 1])
        fits = tables.fixed_peaks[frame, reads - 1] <= ceiling
        self._steps = [s for key in tables.parts for s in self._steps_of(key)] if fits else []
        self.is_open = fits and all(step.options for step in self._steps)
        if self.is_open:
            least = [step.sums.min(axis=0) for step in self._steps]
            # What all later steps add at the least, from each step on
            self._ahead = [sum(least[i:], np.zeros_like(self._base)) for i in range(len(least) + 1)]
            total = self._base + self._ahead[0]
            self.least = total[0]
            self.is_open = all(b is None or t <= b for t, b in zip(total, columns.bounds, strict=True))

    def _steps_of(self, key: PartKey) -> Iterator[_Step]:
        part = self._tables.parts[key]
        depth = self._depths[self._space.stacks.index(key.stack)]
        valid = self._space.valid(self._space.frames[self._frame], key, self._depths)
        held = part.peaks[part.rows[self._frame], :, self._reads - 1]
        anywhere = [o for o in valid if held[o] <= self._ceiling and part.reads[o] <= self._reads]
        special: dict[int, list[int]] = {}
        for from_end in range(1, min(depth, MOST_READS - 1) + 1):
            kept = _kept(self._tables, key, self._frame, self._reads, from_end)
            if kept:
                special[depth - from_end] = [o for o in anywhere if held[o] + kept <= self._ceiling]
        if key.part == "cross":  # some layer reads as many as this cell says
            special = {0: [o for o in anywhere if part.reads[o] == self._reads]}
        if self._placed is not None and self._placed.key == key:
            self._place(special, anywhere, depth, part)
        layers = tuple(range(depth))
        if self._space.parts[key].uniform:
            options = [o for o in anywhere if all(o in allowed for allowed in special.values())]
            yield self._step(key, part, layers, options)
            return
        for layer in layers:
            yield self._step(key, part, (layer,), special.get(layer, anywhere))

    def _place(self, special: dict[int, list[int]], anywhere: list[int], depth: int, part: PartTable) -> None:
        """Let the forced option stand where it must, or where it takes no special place if there is such."""
        assert self._placed is not None
        option = self._placed.option
        free = next((layer for layer in range(depth) if layer not in special), None)
        if self._placed.from_end:
            layer = depth - self._placed.from_end
            if layer < 0:  # no such layer
                special[0] = []
                return
        elif free is not None and not (part.reads[option] == self._reads and 0 in special):
            layer = free
        else:
            layer = next(iter(special))
        special[layer] = [o for o in special.get(layer, anywhere) if o == option]

    def _step(self, key: PartKey, part: PartTable, layers: tuple[int, ...], options: list[int]) -> _Step:
        row = part.rows[self._frame]
        sums = self._columns.of_sums(part.sums[row, options]) * len(layers)
        kept = _undominated(sums) if options else np.zeros(0, dtype=np.int64)
        return _Step(key, layers, tuple(options[i] for i in kept), sums[kept])

    def solve(self, best: tuple[int, Genotype] | None) -> tuple[int, Genotype] | None:
        """Return (least first column, its choices) if it betters `best`, else None."""
        sums = self._base[None, :]
        trail: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = []
        for index, step in enumerate(self._steps):
            every = (sums[:, None, :] + step.sums[None, :, :]).reshape(-1, sums.shape[1])
            ends = every + self._ahead[index + 1]
            fits = np.ones(len(every), dtype=np.bool_)
            for column, bound in enumerate(self._columns.bounds):
                if bound is not None:
                    fits &= (ends[:, column] <= bound).astype(np.bool_)
            if best is not None:
                fits &= (ends[:, 0] < best[0]).astype(np.bool_)
            rows = np.flatnonzero(fits)
            rows = rows[_undominated(every[rows])]
            if not len(rows):
                return None
            sums = every[rows]
            trail.append((rows // len(step.options), rows % len(step.options)))
        winner = int(np.argmin(sums[:, 0]))
        return sums[winner, 0], self._genotype(winner, trail)

    def _genotype(self, row: int, trail: list[tuple[NDArray[np.int64], NDArray[np.int64]]]) -> Genotype:
        taken: dict[PartKey, dict[int, int]] = {key: {} for key in self._tables.parts}
        for step, (parents, options) in zip(reversed(self._steps), reversed(trail), strict=True):
            for layer in step.layers:
                taken[step.key][layer] = step.options[options[row]]
            row = int(parents[row])
        layers = {key: tuple(found[layer] for layer in sorted(found)) for key, found in taken.items()}
        return Genotype(self._frame, layers)


def _undominated(sums: NDArray[Any]) -> NDArray[np.int64]:
    """Return the rows that no other is at most equal to in every column, one of each group of equals."""
    if not len(sums):
        return np.zeros(0, dtype=np.int64)
    if sums.shape[1] == 1:
        return np.array([np.argmin(sums[:, 0])])
    order = _sorted_rows(sums)
    if sums.shape[1] == 2:
        second = sums[order, 1]
        before = np.minimum.accumulate(second)
        better: NDArray[np.bool_] = np.concatenate([[True], (second[1:] < before[:-1]).astype(np.bool_)])
        return order[better]
    kept: list[int] = []
    front = np.zeros_like(sums)
    for row in order:
        if not bool((front[: len(kept), 1:] <= sums[row, 1:]).all(axis=1).any()):  # the first column rises
            front[len(kept)] = sums[row]
            kept.append(int(row))
    return np.array(kept, dtype=np.int64)


def _sorted_rows(sums: NDArray[Any]) -> NDArray[np.int64]:
    if sums.dtype == object:
        return np.array(sorted(range(len(sums)), key=lambda row: tuple(sums[row])), dtype=np.int64)
    return np.lexsort(tuple(sums.T[::-1]))
