"""Architectures of a search space as candidates: sampled, costed and described many at a time."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.architecture import Architecture
from nas.search.cost_aware.candidates import Groups, Rows, Vector
from nas.search.cost_aware.features import Column, CostScale, FeatureMap
from nas.search.decisions import chooser_of, parameter_of
from nas.search.objectives import Constraint, MetricInfo
from nas.space import Decision, Encoded, PartKey, SearchSpace
from nas.space.encoding import NONE, encode
from nas.space.genotype import Genotype
from nas.space.neighbours import neighbours, random_neighbour
from nas.space.walk import Walk, follow_genotype

KnownMetrics = Callable[[Encoded], Mapping[str, NDArray[Any]]]
"""Returns each metric that is known before training, (N,) by name."""
ALSO_FEATURES = ("parameters_without_embeddings", "macs")
"""Costs that tell of quality whether they are objectives or not."""
SAMPLED_FOR_SCALE = 2_000
MANY_KINDS = 256
"""More than a model has layers: each is drawn on its own."""
DRAWS = 8
"""Choices drawn for a mutation before a row is left as it is."""


class SpaceCandidates:
    """A `CandidateSource` over a search space.

    A row is the index of the frame, then for each part of the layers, in the order of `SearchSpace.parts`, the option
    of every layer. Arrays of rows are not to be changed in place: what was found for the last one is kept.
    """

    def __init__(
        self,
        space: SearchSpace,
        objectives: Sequence[MetricInfo],
        constraints: Sequence[Constraint],
        metrics: KnownMetrics,
    ) -> None:
        """`metrics` gives what is known of encoded architectures before training; limits on anything else don't count.

        Raises `KeyError` if `metrics` doesn't give an objective that is said to be known.
        """
        self._space, self._metrics = space, metrics
        self._walk = Walk(space)
        self.size: float = space.size if space.size < 2**53 else float("inf")
        self.known_objectives = tuple(i for i, o in enumerate(objectives) if o.known_before_training)
        self._known_names = [objectives[i].name for i in self.known_objectives]
        self._widths = {key: max(space.choices(key.stack).depth) for key in space.parts}
        sample = space.sample_encoded(SAMPLED_FOR_SCALE, np.random.default_rng(0))
        found = metrics(sample)
        self._constraints = [c for c in constraints if c.metric in found]
        self._feature_costs = list(dict.fromkeys([*self._known_names, *(n for n in ALSO_FEATURES if n in found)]))
        self._scale = CostScale(self._stacked(found, self._feature_costs, len(sample)))
        self._tables = _Tables(space)
        self._features = FeatureMap(self._tables.columns, len(self._feature_costs))
        self._last: tuple[Rows, Mapping[str, NDArray[Any]]] | None = None

    @property
    def feature_groups(self) -> Groups:
        """See `CandidateSource`."""
        return self._features.groups

    @property
    def features_by_choice(self) -> dict[str, NDArray[np.int64]]:
        """Return the indices of the features that tell of each choice, by its name (see `FeatureMap`)."""
        return self._features.by_choice

    def all(self) -> Rows:
        """See `CandidateSource`."""
        return self._rows(encode(self._space, list(self._space.genotypes())))

    def sample(self, count: int, rng: np.random.Generator) -> Rows:
        """See `CandidateSource`."""
        return self._rows(self._space.sample_encoded(count, rng))

    def spread(self, count: int, rng: np.random.Generator) -> Rows:
        """Return as many architectures (count, G), every frame and every depth equally likely, layers independent."""
        draw = random.Random(int(rng.integers(2**63)))
        return self._rows(encode(self._space, [self._space.spread(draw, MANY_KINDS) for _ in range(count)]))

    def rows_of(self, architectures: Sequence[Architecture]) -> Rows:
        """Return architectures of the space as rows (N, G); raise `InvalidInput` for one that is not in it."""
        return self._rows(self._space.encode(list(architectures)))

    def mutate(self, rows: Rows, rng: np.random.Generator) -> Rows:
        """See `CandidateSource`."""
        draw = random.Random(int(rng.integers(2**63)))
        changed: list[Genotype] = []
        for genotype in self._genotypes(rows):
            found = None
            for _ in range(DRAWS):
                found = found or random_neighbour(self._space, genotype, draw)
            changed.append(found or genotype)
        return self._rows(encode(self._space, changed))

    def neighbours(self, row: Vector, rng: np.random.Generator) -> Rows:  # noqa: ARG002
        """See `CandidateSource`; all of them."""
        return self._rows(encode(self._space, list(neighbours(self._space, self._genotypes(row[None])[0]))))

    def known(self, rows: Rows) -> Rows:
        """See `CandidateSource`."""
        return self._stacked(self._metrics_of(rows), self._known_names, len(rows))

    def violation(self, rows: Rows) -> Vector:
        """See `CandidateSource`: the sum over the limits of the excess relative to each."""
        total = np.zeros(len(rows))
        if self._constraints:
            found = self._metrics_of(rows)
            for constraint in self._constraints:
                values = np.asarray(found[constraint.metric], dtype=np.float64)
                sign = 1.0 if constraint.operator == "<=" else -1.0
                excess = sign * (values - constraint.limit) / (abs(constraint.limit) or 1.0)
                total += np.where(np.isnan(excess), np.inf, np.maximum(excess, 0.0))
        return total

    def features(self, rows: Rows) -> Rows:
        """See `CandidateSource`."""
        costs = self._stacked(self._metrics_of(rows), self._feature_costs, len(rows))
        return self._features.of(self._tables.choices(rows), self._scale(costs))

    def row_of(self, parameters: Mapping[str, Any]) -> Vector | None:
        """See `CandidateSource`."""
        try:
            genotype = self._walk.take(chooser_of(parameters))
        except (KeyError, ValueError, IndexError):  # a parameter that is missing, or has another space's value
            return None
        return np.asarray(self._rows(encode(self._space, [genotype]))[0])

    def parameters_of(self, row: Vector) -> dict[str, Any]:
        """See `CandidateSource`."""
        follow = follow_genotype(self._space, self._genotypes(row[None])[0])
        parameters: dict[str, Any] = {}

        def choose(decision: Decision) -> int:
            index = follow(decision)
            parameters[decision.name] = parameter_of(decision, index)
            return index

        self._walk.take(choose)
        return parameters

    def _metrics_of(self, rows: Rows) -> Mapping[str, NDArray[Any]]:
        """Return each metric (N,) of rows (N, G); those of the last array are kept: features and costs both ask."""
        last = self._last
        if last is None or last[0] is not rows:
            last = self._last = (rows, self._metrics(self._encoded(rows)))
        return last[1]

    def _stacked(self, found: Mapping[str, NDArray[Any]], names: list[str], count: int) -> Rows:
        columns = [np.asarray(found[name], dtype=np.float64) for name in names]
        return np.stack(columns, axis=1) if columns else np.zeros((count, 0))

    def _rows(self, encoded: Encoded) -> Rows:
        layers = [np.where(options == NONE, np.nan, options) for options in encoded.layers.values()]
        return np.concatenate([encoded.frames[:, None].astype(np.float64), *layers], axis=1)

    def _encoded(self, rows: Rows) -> Encoded:
        layers: dict[PartKey, NDArray[np.int16]] = {}
        start = 1
        for key, width in self._widths.items():
            options = rows[:, start : start + width]
            layers[key] = np.where(np.isnan(options), NONE, options).astype(np.int16)
            start += width
        return Encoded(rows[:, 0].astype(np.int32), layers)

    def _genotypes(self, rows: Rows) -> list[Genotype]:
        encoded = self._encoded(rows)
        lists = {key: options.tolist() for key, options in encoded.layers.items()}
        return [
            Genotype(frame, {key: tuple(o for o in lists[key][row] if o != NONE) for key in lists})
            for row, frame in enumerate(encoded.frames.tolist())
        ]


class _Tables:
    """Looks up what was chosen in a frame, and in each option of a part."""

    def __init__(self, space: SearchSpace) -> None:
        self.columns: list[Column] = []
        self._frames = self._lookup([dict(frame.path) for frame in space.frames], "")
        self._stacks: list[tuple[int, int]] = []  # where the layers of a stack's first part are
        self._parts: list[tuple[int, Rows]] = []
        start, many = 1, len(space.stacks) > 1
        met: set[str] = set()
        for key, part in space.parts.items():
            width = max(space.choices(key.stack).depth)
            if key.stack not in met:
                met.add(key.stack)
                self._stacks.append((start, start + width))
                name = f"{key.stack}.depth" if many else "depth"
                self.columns.append(Column.of_numbers(name, space.choices(key.stack).depth))
            layers = 1 if part.uniform else width
            for layer in range(layers):
                prefix = f"{key.stack}.layers.{layer}.{key.part}." if many else f"layers.{layer}.{key.part}."
                table = self._lookup([dict(option.path) for option in part.options], prefix)
                self._parts.append((start + layer, table))
            start += width

    def _lookup(self, chosen: list[dict[str, Any]], prefix: str) -> Rows:
        """Return (options + 1, names), the last row of NaN, and add the columns."""
        names = list(dict.fromkeys(name for choices in chosen for name in choices))
        table = np.full((len(chosen) + 1, len(names)), np.nan)
        for place, name in enumerate(names):
            values = list(dict.fromkeys(choices[name] for choices in chosen if name in choices))
            numeric = all(isinstance(value, int) and not isinstance(value, bool) for value in values)
            for row, choices in enumerate(chosen):
                if name in choices:
                    table[row, place] = choices[name] if numeric else values.index(choices[name])
            column = (
                Column.of_numbers(prefix + name, values)
                if numeric
                else Column(prefix + name, 0.0, len(values) - 1.0, categories=len(values))
            )
            self.columns.append(column)
        return table

    def choices(self, rows: Rows) -> Rows:
        """Return (N, columns): every choice's number, NaN where there is none."""
        found = [self._frames[rows[:, 0].astype(np.int64)]]
        stacks = dict(self._stacks)
        for start, table in self._parts:
            if start in stacks:
                depth = (~np.isnan(rows[:, start : stacks[start]])).sum(axis=1)
                found.append(depth[:, None].astype(np.float64))
            options = rows[:, start]
            found.append(table[np.where(np.isnan(options), len(table) - 1, options).astype(np.int64)])
        return np.concatenate(found, axis=1)
