"""Reading a front: who is really on it given what is uncertain, and what more of a cost buys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import moocore
import numpy as np
from numpy.typing import NDArray

from nas.search.front import Values, front_rows

DRAWS = 2000
FAR = 4.0
"""Standard deviations by which an error is never taken to be larger."""


def membership(values: Values, deviations: Values, maximise: Sequence[bool], draws: int = DRAWS) -> NDArray[np.float64]:
    """Return the probability (N,) that each row is non-dominated, given normal errors of its values.

    `values` and `deviations` are (N, M); errors are independent of each other and stay within `FAR` deviations. Worked
    out by `draws` draws, the same for the same arguments: its standard error is at most .5 / √draws. Rows with a value
    that is not finite have probability 0.
    """
    probabilities = np.zeros(len(values))
    rows = _possible(values, deviations, maximise)
    if not len(rows):
        return probabilities
    rng = np.random.default_rng(0)
    counts = np.zeros(len(rows))
    for _ in range(draws):
        errors = np.clip(rng.standard_normal((len(rows), values.shape[1])), -FAR, FAR)
        counts += moocore.is_nondominated(
            values[rows] + errors * deviations[rows], maximise=list(maximise), keep_weakly=True
        )
    probabilities[rows] = counts / draws
    return probabilities


def _possible(values: Values, deviations: Values, maximise: Sequence[bool]) -> NDArray[np.int64]:
    """Return the rows that nobody dominates in every draw: all others take no part in any."""
    finite = np.flatnonzero(np.isfinite(values).all(axis=1)) if len(values) else np.empty(0, dtype=np.int64)
    signed = values[finite] * np.where(list(maximise), -1.0, 1.0)
    margin = FAR * deviations[finite]
    worst, best = signed + margin, signed - margin
    sure = worst[front_rows(worst, [False] * signed.shape[1])]
    # Equal values dominate nobody, so one of them has to be less
    dominated = [bool(((sure <= row).all(axis=1) & (sure < row).any(axis=1)).any()) for row in best]
    return np.asarray(finite[~np.array(dominated, dtype=bool)], dtype=np.int64)


@dataclass(frozen=True)
class Step:
    """From one member of a front to the next dearer one."""

    start: int
    end: int
    """Rows of the values."""
    more: float
    """What it costs more, in the cost's unit; positive."""
    gain: float
    """What it is better by, in the quality's unit; positive."""

    @property
    def rate(self) -> float:
        """Gain a unit of cost."""
        return self.gain / self.more


def staircase(cost: NDArray[np.float64], quality: NDArray[np.float64], *, maximise: bool) -> list[int]:
    """Return the rows of the front of one cost (N,), to be minimised, and one quality (N,), cheapest first.

    Of members that are equal in both, the first one stands for all. Under any limit on the cost the best candidate is
    the last of these rows that keeps it: what is dearer is always better.
    """
    members = front_rows(np.column_stack([cost, quality]), [False, maximise])
    members.sort(key=lambda row: (cost[row], row))
    return [row for i, row in enumerate(members) if i == 0 or cost[row] != cost[members[i - 1]]]


def exchange(cost: NDArray[np.float64], quality: NDArray[np.float64], *, maximise: bool) -> list[Step]:
    """Return the steps along the `staircase` of a cost and a quality."""
    rows = staircase(cost, quality, maximise=maximise)
    return [Step(a, b, float(cost[b] - cost[a]), float(abs(quality[b] - quality[a]))) for a, b in pairwise(rows)]


def forgone(
    costs: NDArray[np.float64], quality: NDArray[np.float64], *, maximise: bool
) -> tuple[Values, NDArray[np.int64]]:
    """Return what each candidate gives up against the best that is not dearer, in each cost alone.

    `costs` (N, D) and `quality` (N,) give the loss of quality (N, D), at least 0, and the index (N, D) of that best
    candidate; of equally good ones the cheapest, of equally cheap ones the first.
    """
    worse = np.where(np.isnan(quality), np.inf, -quality if maximise else quality)
    losses, instead = np.zeros(costs.shape), np.zeros(costs.shape, dtype=np.int64)
    for column, cost in enumerate(costs.T):
        order = np.lexsort((worse, cost))
        best = np.minimum.accumulate(worse[order])
        reached = np.maximum.accumulate(np.where(np.diff(best, prepend=np.inf) < 0, np.arange(len(best)), 0))
        last = np.searchsorted(cost[order], cost, side="right") - 1  # the last that is not dearer
        losses[:, column] = worse - best[last]
        instead[:, column] = order[reached[last]]
    return losses, instead
