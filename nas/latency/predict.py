"""LatencyPredictor: the latency of any architecture of a measured space, with an interval, in microseconds of work."""

from __future__ import annotations

from dataclasses import dataclass

from nas.architecture import Architecture
from nas.errors import MissingEntry
from nas.latency.correction import Correction, fit_correction
from nas.latency.plan import weight_bytes
from nas.latency.table import LatencyTable
from nas.models import SubBlock, sub_blocks, weighted_blocks
from nas.models.space_blocks import block_of_option, embedding_of_frame, head_of_frame, sub_blocks_of_space
from nas.space import Genotype, PartKey, SearchSpace
from nas.space.frames import Frame

OVERHEAD = "overhead"
_NS_PER_MS = 1e6


@dataclass(frozen=True)
class LatencyPrediction:
    """A predicted latency in milliseconds."""

    latency_ms: float
    lower_ms: float
    upper_ms: float
    """A measurement lies between lower_ms and upper_ms with 90 % confidence."""
    breakdown: tuple[tuple[str, float], ...]
    """(sub-block key, ms) in order of execution, `overhead` last; they sum to `latency_ms`."""


@dataclass(frozen=True)
class _Known:
    """What the table says about a sub-block."""

    key: str
    latency_ns: int
    weight_bytes: int


class LatencyPredictor:
    """Predicts from one table. The correction is fitted anew from the table's whole models, never read from it."""

    def __init__(self, table: LatencyTable) -> None:
        """Raise `InvalidInput` if too few whole models are valid, or their sub-blocks have no valid entries."""
        self.table = table
        self._latencies_ns = {key: entry.median_ns for key, entry in table.entries.items() if entry.valid}
        self._known: dict[SubBlock, _Known] = {}
        self.correction = self._fit()
        self._margin = self.correction.interval

    def _fit(self) -> Correction:
        sums: list[int] = []
        sizes: list[int] = []
        measured: list[int] = []
        for architecture, latency_ns in self.table.valid_models:
            try:
                known = [self._look_up(block) for block in sub_blocks(architecture)]
            except MissingEntry:
                continue  # of a model with an invalid part the sum isn't known
            sums.append(sum(x.latency_ns for x in known))
            sizes.append(self._weight_bytes(architecture, known))
            measured.append(latency_ns)
        return fit_correction(sums, sizes, measured)

    def _look_up(self, sub_block: SubBlock) -> _Known:
        known = self._known.get(sub_block)
        if known is None:
            key = sub_block.key
            if key not in self._latencies_ns:
                raise MissingEntry(self._words_for_missing(key))
            known = self._known[sub_block] = _Known(key, self._latencies_ns[key], weight_bytes(sub_block))
        return known

    def _words_for_missing(self, key: str) -> str:
        entry = self.table.entries.get(key)
        state = "no entry" if entry is None else f"no valid entry ({entry.reason})"
        device, workload = self.table.device.name, self.table.workload.key
        return (
            f"The latency table of device {device} at {workload} has {state} for {key}. "
            "Measure a space that has it with `nas device profile`."
        )

    def predict(self, architecture: Architecture) -> LatencyPrediction:
        """Return the predicted latency; raise `MissingEntry` naming the first sub-block without a valid entry."""
        known = [self._look_up(block) for block in sub_blocks(architecture)]
        per_ms = self.correction.factor(self._weight_bytes(architecture, known)) / _NS_PER_MS
        breakdown = [(x.key, x.latency_ns * per_ms) for x in known]
        breakdown.append((OVERHEAD, self.correction.overhead_ns / _NS_PER_MS))
        latency_ms = sum(ms for _, ms in breakdown)
        lower_ms, upper_ms = latency_ms * (1 - self._margin), latency_ms * (1 + self._margin)
        return LatencyPrediction(latency_ms, lower_ms, upper_ms, tuple(breakdown))

    def _weight_bytes(self, architecture: Architecture, run: list[_Known]) -> int:
        """Return the bytes of weights that one inference reads, those of repeated layers once; `run` is what runs."""
        if all(stack.repeats == 1 for _, stack in architecture.stacks):
            return sum(x.weight_bytes for x in run)
        return sum(self._look_up(block).weight_bytes for block in weighted_blocks(architecture))

    def missing(self, space: SearchSpace) -> list[str]:
        """Return the keys of the space's sub-blocks that have no valid entry."""
        return [block.key for block in sub_blocks_of_space(space) if block.key not in self._latencies_ns]

    def coverage(self, space: SearchSpace) -> float:
        """Return the share of the space's sub-blocks that have a valid entry, 0 to 1."""
        return 1 - len(self.missing(space)) / len(sub_blocks_of_space(space))

    def errors(self) -> dict[str, float]:
        """Return how far off the correction is on each whole model when fitted on all the others.

        `mean_absolute_percent` and `bias_percent` (above zero: predicted too slow) in percent,
        `within_7_percent` and `within_15_percent` as shares 0 to 1, `interval_percent` of the 90 % interval,
        and `whole_models`, their number.
        """
        errors = self.correction.left_out_errors
        return {
            "mean_absolute_percent": 100 * sum(map(abs, errors)) / len(errors),
            "bias_percent": 100 * sum(errors) / len(errors),
            "within_7_percent": sum(abs(e) <= 0.07 for e in errors) / len(errors),
            "within_15_percent": sum(abs(e) <= 0.15 for e in errors) / len(errors),
            "interval_percent": 100 * self.correction.interval,
            "whole_models": float(len(errors)),
        }

    def lowest(self, space: SearchSpace) -> tuple[float, Architecture]:
        """Return (ms, architecture): the least predicted latency of the whole space, and who has it.

        Exact: see `_extreme`. Raises `MissingEntry` if a sub-block of the space has no valid entry.
        """
        return self._extreme(space, sign=1)

    def highest(self, space: SearchSpace) -> tuple[float, Architecture]:
        """Return (ms, architecture): the greatest predicted latency of the whole space, and who has it."""
        return self._extreme(space, sign=-1)

    def _extreme(self, space: SearchSpace, sign: int) -> tuple[float, Architecture]:
        """Find the least of sign · latency without listing the space.

        A prediction grows with the sum of latencies and with the sum of weight bytes, and both sums are over
        layers. So of all ways to fill n layers only those count that no other way betters in both sums, and each of
        them extends one that counts for n - 1 layers.
        """
        best: tuple[float, Genotype] | None = None
        depths = space.choices("encoder").depth
        for index, frame in enumerate(space.frames):
            options = {key: self._options(space, frame, key, sign) for key in space.parts}
            fronts = [[self._around(space, frame, sign)]]
            for _ in range(max(depths)):
                front = fronts[-1]
                for key, part in space.parts.items():
                    front = front if part.uniform else _extended(front, key, options[key], 1)
                fronts.append(front)
            for depth in depths:
                front = fronts[depth]
                for key, part in space.parts.items():
                    front = _extended(front, key, options[key], depth) if part.uniform else front
                for found in front:
                    ns = self.correction.apply(sign * found.latency_ns, sign * found.weight_bytes)
                    if best is None or sign * ns < sign * best[0]:
                        best = (ns, Genotype(index, found.layers))
        assert best is not None  # a space has at least one frame
        architecture = space.architecture(best[1])
        return self.predict(architecture).latency_ms, architecture

    def _around(self, space: SearchSpace, frame: Frame, sign: int) -> _Sum:
        """Return what surrounds the layers."""
        known = [self._look_up(b) for b in (embedding_of_frame(space, frame, "encoder"), head_of_frame(space, frame))]
        none: dict[PartKey, tuple[int, ...]] = dict.fromkeys(space.parts, ())
        return _Sum(sign * sum(x.latency_ns for x in known), sign * sum(x.weight_bytes for x in known), none)

    def _options(self, space: SearchSpace, frame: Frame, key: PartKey, sign: int) -> list[tuple[int, int, int]]:
        """Return (option, signed ns, signed weight bytes) of every option of a part, its repeats run."""
        repeats = frame.stacks[key.stack].repeats
        result = []
        for index, value in space.resolved(frame, key).items():
            known = self._look_up(block_of_option(space, frame, key, value))
            result.append((index, sign * known.latency_ns * repeats, sign * known.weight_bytes))
        return result


@dataclass(frozen=True)
class _Sum:
    """The sums over some layers, and the layers."""

    latency_ns: int
    weight_bytes: int
    layers: dict[PartKey, tuple[int, ...]]


def _extended(front: list[_Sum], key: PartKey, options: list[tuple[int, int, int]], layers: int) -> list[_Sum]:
    """Return the undominated ways to go on with one option of a part for so many layers."""
    sums = (
        (x.latency_ns + layers * ns, x.weight_bytes + layers * size, place, option)
        for place, x in enumerate(front)
        for option, ns, size in options
    )
    result: list[_Sum] = []
    for ns, size, place, option in sorted(sums):
        if not result or size < result[-1].weight_bytes:
            before = front[place].layers
            result.append(_Sum(ns, size, {**before, key: before[key] + (option,) * layers}))
    return result
