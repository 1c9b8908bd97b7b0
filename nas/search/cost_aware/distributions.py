"""Candidates out of plain Optuna distributions, for anybody's study."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from nas.search.cost_aware.candidates import Groups, Rows, Vector, keys_of
from nas.search.cost_aware.features import Column, CostScale, FeatureMap

Known = Callable[[Sequence[Mapping[str, Any]]], Sequence[float] | Vector]
"""Returns one number for each of the parameter dicts given."""
LISTED = 16
"""Of a choice with more options than this only the nearest and a few random ones are neighbours."""
SAMPLED_FOR_SCALE = 1000
REMEMBERED = 100_000
"""Candidates whose known values are kept; the pool is looked at before every trial."""


@dataclass(frozen=True)
class Condition:
    """A parameter is there only where another one has one of these values."""

    parent: str
    values: Collection[Any]


class DistributionCandidates:
    """A `CandidateSource` over Optuna distributions and functions for what is known beforehand."""

    def __init__(
        self,
        distributions: Mapping[str, BaseDistribution],
        known_objectives: Mapping[int, Known],
        limit: Known | None = None,
        conditions: Mapping[str, Condition] | None = None,
    ) -> None:
        """Describe the space of a study.

        `known_objectives` has for each objective that is known beforehand, by its index, the function that gives its
        value for each of several candidates. `limit` says by how much each candidate breaks the limits on what is
        known: 0 or less where it keeps them. `conditions` say of conditional parameters when they are there; a
        parameter comes after the one that it depends on.

        Raises `ValueError` for a condition on a parameter that doesn't come before.
        """
        self._distributions = dict(distributions)
        self._names = tuple(distributions)
        self._choices = [_choice(name, d) for name, d in distributions.items()]
        self.known_objectives = tuple(sorted(known_objectives))
        self._functions = [known_objectives[index] for index in self.known_objectives]
        self._limit = limit
        self._conditions = self._parsed(conditions or {})
        self._memory: dict[bytes, Vector] = {}
        self.size = self._count()
        sample = self.sample(SAMPLED_FOR_SCALE, np.random.default_rng(0))
        self._scale = CostScale(self.known(sample))
        self._features = FeatureMap([choice.column for choice in self._choices], len(self.known_objectives))

    @property
    def feature_groups(self) -> Groups:
        """See `CandidateSource`."""
        return self._features.groups

    def _parsed(self, conditions: Mapping[str, Condition]) -> dict[int, tuple[int, Vector]]:
        parsed = {}
        for name, condition in conditions.items():
            place = self._names.index(name) if name in self._names else -1
            before = self._names[:place] if place >= 0 else ()
            if condition.parent not in before:
                raise ValueError(f"{name!r} depends on {condition.parent!r}, which does not come before it")
            parent = self._names.index(condition.parent)
            numbers = [self._choices[parent].number_of(value) for value in condition.values]
            parsed[place] = (parent, np.array(numbers))
        return parsed

    def _there(self, rows: Rows, place: int) -> Any:
        """Return (N,): whether each row has the parameter; its parents are decided already."""
        if place not in self._conditions:
            return np.ones(len(rows), dtype=bool)
        parent, values = self._conditions[place]
        return np.isin(rows[:, parent], values)

    def _count(self) -> float:
        if not self._conditions:
            return math.prod(choice.options for choice in self._choices)
        # Behind each value of a parameter lie the combinations of what depends on it
        children: dict[int, list[int]] = {}
        for place, (parent, _) in self._conditions.items():
            children.setdefault(parent, []).append(place)

        def ways(place: int) -> float:
            choice = self._choices[place]
            if place not in children:
                return choice.options
            if math.isinf(choice.options):
                return math.inf
            return sum(
                math.prod(ways(c) for c in children[place] if value in self._conditions[c][1])
                for value in choice.numbers()
            )

        return math.prod(ways(place) for place in range(len(self._choices)) if place not in self._conditions)

    def all(self) -> Rows:
        """See `CandidateSource`."""
        rows = np.full((1, len(self._choices)), np.nan)
        for place, choice in enumerate(self._choices):
            numbers = choice.numbers()
            there = self._there(rows, place)
            wide = np.repeat(rows[there], len(numbers), axis=0)
            wide[:, place] = np.tile(numbers, int(there.sum()))
            rows = np.concatenate([rows[~there], wide])
        return rows

    def sample(self, count: int, rng: np.random.Generator) -> Rows:
        """See `CandidateSource`."""
        return self._filled(np.full((count, len(self._choices)), np.nan), rng)

    def _filled(self, rows: Rows, rng: np.random.Generator) -> Rows:
        """Return the rows with random values for what should be there and isn't, without what shouldn't."""
        for place, choice in enumerate(self._choices):
            there = self._there(rows, place)
            rows[~there, place] = np.nan
            missing = np.flatnonzero(there & np.isnan(rows[:, place]))
            rows[missing, place] = choice.draw(len(missing), rng)
        return rows

    def mutate(self, rows: Rows, rng: np.random.Generator) -> Rows:
        """See `CandidateSource`."""
        changed = rows.copy()
        free = np.array([choice.options > 1 for choice in self._choices])
        tickets = np.where(np.isnan(rows) | ~free, -1.0, rng.random(rows.shape))
        places = tickets.argmax(axis=1)
        for place, choice in enumerate(self._choices):
            mine = np.flatnonzero((places == place) & (tickets[:, place] >= 0))
            changed[mine, place] = choice.other(rows[mine, place], rng)
        return self._filled(changed, rng)

    def neighbours(self, row: Vector, rng: np.random.Generator) -> Rows:
        """See `CandidateSource`."""
        found = []
        for place, choice in enumerate(self._choices):
            if not np.isnan(row[place]):
                values = choice.near(row[place], rng)
                rows = np.repeat(row[None], len(values), axis=0)
                rows[:, place] = values
                found.append(rows)
        return self._filled(np.concatenate(found), rng) if found else np.zeros((0, len(row)))

    def known(self, rows: Rows) -> Rows:
        """See `CandidateSource`."""
        return self._told(rows)[:, :-1]

    def violation(self, rows: Rows) -> Vector:
        """See `CandidateSource`."""
        return self._told(rows)[:, -1]

    def _told(self, rows: Rows) -> Rows:
        """Return (N, K + 1) of what the study's functions say, the excess over the limits last; each asked once."""
        keys = keys_of(rows)
        new = {key: row for key, row in zip(keys, rows, strict=True) if key not in self._memory}
        if len(self._memory) + len(new) > REMEMBERED:
            self._memory.clear()
            new = dict(zip(keys, rows, strict=True))
        if new:
            dicts = [self.parameters_of(row) for row in new.values()]
            columns = [np.asarray(function(dicts), dtype=np.float64).reshape(len(new)) for function in self._functions]
            excess = np.zeros(len(new)) if self._limit is None else np.asarray(self._limit(dicts), dtype=np.float64)
            columns.append(np.where(np.isnan(excess), np.inf, np.maximum(excess, 0.0)))
            self._memory.update(zip(new, np.stack(columns, axis=1), strict=True))
        if not keys:
            return np.zeros((0, len(self._functions) + 1))
        return np.stack([self._memory[key] for key in keys])

    def features(self, rows: Rows) -> Rows:
        """See `CandidateSource`."""
        return self._features.of(rows, self._scale(self.known(rows)))

    def row_of(self, parameters: Mapping[str, Any]) -> Vector | None:
        """See `CandidateSource`."""
        row = np.full(len(self._names), np.nan)
        for place, (name, choice) in enumerate(zip(self._names, self._choices, strict=True)):
            if self._there(row[None], place)[0]:
                if name not in parameters or not choice.contains(parameters[name]):
                    return None
                row[place] = choice.number_of(parameters[name])
        return row

    def parameters_of(self, row: Vector) -> dict[str, Any]:
        """See `CandidateSource`."""
        return {
            name: choice.value_of(number)
            for name, choice, number in zip(self._names, self._choices, row.tolist(), strict=True)
            if not math.isnan(number)
        }


class _Choice:
    """One distribution as numbers: indices of categories, or the numbers themselves on a grid."""

    def __init__(self, name: str, distribution: CategoricalDistribution | IntDistribution | FloatDistribution) -> None:
        self._distribution = distribution
        self.low, self.high, self.step, self.log = 0.0, 0.0, 1.0, False
        if isinstance(distribution, CategoricalDistribution):
            self.options: float = len(distribution.choices)
            self.high = self.options - 1
            self.column = Column(name, 0.0, self.high, categories=len(distribution.choices))
            return
        self.low, self.high = float(distribution.low), float(distribution.high)
        self.step, self.log = float(distribution.step or 0.0), distribution.log
        self.options = math.floor((self.high - self.low) / self.step + 1e-9) + 1 if self.step else math.inf
        if self.low == self.high:
            self.options = 1
        self.column = Column.of_numbers(name, (self.low, self.high), self.log)

    def numbers(self) -> Vector:
        return np.asarray(self.low + self.step * np.arange(int(self.options)), dtype=np.float64)

    def draw(self, count: int, rng: np.random.Generator) -> Vector:
        if self.options == 1:
            return np.full(count, self.low)
        if self.log:
            half = self.step / 2  # the first and the last option have as much room as the others
            drawn = np.exp(rng.uniform(math.log(self.low - half), math.log(self.high + half), count))
            return self._on_grid(drawn)
        if self.step:
            return np.asarray(self.low + self.step * rng.integers(int(self.options), size=count), dtype=np.float64)
        return rng.uniform(self.low, self.high, count)

    def other(self, values: Vector, rng: np.random.Generator) -> Vector:
        """Return for each value another one: near or anywhere for a number, any for a category."""
        if not self.step:
            return self._moved(values, rng)
        index = np.rint((values - self.low) / self.step)
        anywhere = (index + rng.integers(1, int(self.options), size=len(values))) % self.options
        if not self.column.categories:
            beside = index + rng.choice([-1.0, 1.0], size=len(values))
            near = (rng.random(len(values)) < 0.5) & (beside >= 0) & (beside < self.options)
            anywhere = np.where(near, beside, anywhere)
        return np.asarray(self.low + self.step * anywhere)

    def near(self, value: float, rng: np.random.Generator) -> Vector:
        """Return the values that a neighbour may have."""
        few = self.options <= LISTED
        found = self.numbers() if few else np.unique(self.other(np.full(LISTED, value), rng))
        return np.asarray(found[found != value])

    def _moved(self, values: Vector, rng: np.random.Generator) -> Vector:
        """Return values of a continuous parameter after a step: from 1/1000 of the range to all of it."""
        low, high = (math.log(self.low), math.log(self.high)) if self.log else (self.low, self.high)
        here = np.log(values) if self.log else values
        size = (high - low) * 10.0 ** rng.uniform(-3, 0, len(values))
        there = np.clip(here + size * rng.standard_normal(len(values)), low, high)
        return np.asarray(np.clip(np.exp(there) if self.log else there, self.low, self.high))

    def _on_grid(self, values: Vector) -> Vector:
        if self.step:
            values = np.asarray(self.low + self.step * np.rint((values - self.low) / self.step))
        return np.asarray(np.clip(values, self.low, self.high))

    def contains(self, value: Any) -> bool:
        try:
            return bool(self._distribution._contains(self._distribution.to_internal_repr(value)))
        except ValueError:  # of a value that is no category, or no number
            return False

    def number_of(self, value: Any) -> float:
        return float(self._distribution.to_internal_repr(value))

    def value_of(self, number: float) -> Any:
        return self._distribution.to_external_repr(number)


def _choice(name: str, distribution: BaseDistribution) -> _Choice:
    if isinstance(distribution, CategoricalDistribution | IntDistribution | FloatDistribution):
        return _Choice(name, distribution)
    raise ValueError(f"{name!r}: a distribution of {type(distribution).__name__} is not known")
