"""Promotion: successive halving for several objectives.

Candidates compete in cohorts, in the order in which they were proposed. All of a cohort are scored after a short
training; a share of them goes on to a longer one, and so on up the rungs (Jamieson and Talwalkar 2016,
arXiv 1502.07943). Who goes on follows the non-dominated rank (Deb et al. 2002, NSGA-II) over the quality at that rung
and the costs, which are exact on every rung; within a rank, those that stand alone go first. What nobody of its cohort
dominates always goes on: it may be on the front whatever the share. Only finished cohorts decide, so which training
happens to end first changes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import moocore
import numpy as np
from numpy.typing import NDArray

from nas.search.objectives import Constraint, MetricInfo

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Ladder:
    """How long candidates are trained, rung by rung."""

    steps: tuple[int, ...]
    """Of the training whose score stands on each rung, rising; the last is the full one."""
    cohort: int = 12
    reduction: float = 3.0
    """One of so many goes on from each rung, rounded up."""

    @classmethod
    def of(cls, steps: int, rungs: int, cohort: int, reduction: float) -> Ladder:
        """Return the ladder up to `steps` whose rungs are `reduction` times apart; rungs that fall together are one."""
        every = (max(1, round(steps / reduction**above)) for above in reversed(range(rungs)))
        return cls(tuple(dict.fromkeys(every)), cohort, reduction)

    @property
    def last(self) -> int:
        """The number of the last rung."""
        return len(self.steps) - 1


@dataclass(frozen=True)
class Standing:
    """How a candidate stands in its cohort on one rung."""

    rank: int
    """0: nobody dominates it; 1: only those of rank 0 do, and so on."""
    goes_on: bool


def standings(
    values: Values, maximise: Sequence[bool], violations: Sequence[float], reduction: float
) -> list[Standing]:
    """Return the standing of each row of objective values (N, M).

    `violations` (N,) are by how much each breaks its limits; any that keeps them all ranks before any that does not,
    and these rank by how much they break.
    """
    if not len(values):
        return []
    ranks = _ranks(values, maximise, np.asarray(violations, dtype=np.float64))
    share = math.ceil(len(values) / reduction)
    alone = _crowding(values, ranks)
    order = sorted(range(len(values)), key=lambda row: (ranks[row], -alone[row], row))
    chosen = set(order[:share]) | {row for row in order if ranks[row] == 0 and violations[row] == 0}
    return [Standing(int(ranks[row]), row in chosen) for row in range(len(values))]


def _ranks(values: Values, maximise: Sequence[bool], violations: Values) -> NDArray[np.int64]:
    """Return the rank of each row (N,), from 0 without gaps."""
    ranks = np.zeros(len(values), dtype=np.int64)
    kept = np.flatnonzero(violations == 0)
    if len(kept):
        ranks[kept] = moocore.pareto_rank(values[kept], maximise=list(maximise))
    broken = np.flatnonzero(violations > 0)
    first = int(ranks[kept].max()) + 1 if len(kept) else 0
    ranks[broken] = first + np.unique(violations[broken], return_inverse=True)[1]
    return ranks


def _crowding(values: Values, ranks: NDArray[np.int64]) -> Values:
    """Return how far each row is from its neighbours of the same rank; infinite at the ends of an objective."""
    distance = np.zeros(len(values))
    for rank in np.unique(ranks):
        rows = np.flatnonzero(ranks == rank)
        for column in values[rows].T:
            order = rows[np.argsort(column, kind="stable")]
            sorted_column = np.sort(column)
            span = sorted_column[-1] - sorted_column[0]
            distance[order[[0, -1]]] = np.inf
            if span > 0 and len(rows) > 2:
                distance[order[1:-1]] += (sorted_column[2:] - sorted_column[:-2]) / span
    return distance


@dataclass(frozen=True)
class Decision:
    """What becomes of a candidate that was scored on a rung."""

    number: int
    goes_on_to: int | None
    """The next rung; None if it is stopped."""
    reason: str = ""
    """Why it is stopped."""


class Cohorts:
    """The candidates of a search on their way up the ladder."""

    def __init__(self, ladder: Ladder, objectives: Sequence[MetricInfo], constraints: Sequence[Constraint]) -> None:
        self.ladder = ladder
        self._objectives, self._constraints = objectives, constraints
        self._order: list[int] = []
        self._scores: dict[tuple[int, int], Mapping[str, float] | None] = {}
        self._alive: dict[int, list[int]] = {}  # by cohort: those that stand on its present rung, or climb there
        self._rung: dict[int, int] = {}

    def enter(self, number: int) -> None:
        """Take in a candidate, in the order of proposal."""
        cohort = len(self._order) // self.ladder.cohort
        self._order.append(number)
        self._alive.setdefault(cohort, []).append(number)
        self._rung.setdefault(cohort, 0)

    def score(self, number: int, rung: int, metrics: Mapping[str, float] | None) -> None:
        """Take in all metrics of a candidate on a rung; None if it failed there."""
        self._scores[number, rung] = metrics

    def score_unless_there(self, number: int, rung: int, metrics: Mapping[str, float] | None) -> None:
        """As `score`, of a candidate that may have been scored on this rung."""
        self._scores.setdefault((number, rung), metrics)

    def decide(self, *, closed: bool) -> Iterator[Decision]:
        """Yield what follows from the scores so far, each decision once; `closed` says that nobody else will enter."""
        for cohort in sorted(self._rung):
            full = len(self._order) >= (cohort + 1) * self.ladder.cohort
            while (full or closed) and self._is_scored(cohort):
                yield from self._decide_on(cohort)

    def _is_scored(self, cohort: int) -> bool:
        rung = self._rung[cohort]
        alive = self._alive[cohort]
        return rung < self.ladder.last and bool(alive) and all((number, rung) in self._scores for number in alive)

    def _decide_on(self, cohort: int) -> Iterator[Decision]:
        rung = self._rung[cohort]
        found = {number: self._scores[number, rung] for number in self._alive[cohort]}
        scored = {number: metrics for number, metrics in found.items() if metrics is not None}
        values = np.array(
            [[metrics[o.name] for o in self._objectives] for metrics in scored.values()], dtype=np.float64
        )
        violations = [sum(c.violation(metrics) for c in self._constraints) for metrics in scored.values()]
        maximise = [o.direction == "maximize" for o in self._objectives]
        stands = standings(values, maximise, violations, self.ladder.reduction)
        kept = [number for number, standing in zip(scored, stands, strict=True) if standing.goes_on]
        self._alive[cohort], self._rung[cohort] = kept, rung + 1
        for number, standing in zip(scored, stands, strict=True):
            if standing.goes_on:
                yield Decision(number, rung + 1)
            else:
                steps = self.ladder.steps
                yield Decision(
                    number,
                    None,
                    f"stopped after {steps[rung]} of {steps[-1]} steps: in rank {standing.rank + 1} of the "
                    f"{len(scored)} candidates of its cohort, of which {len(kept)} go on",
                )
