"""What the model learns from: the evaluated candidates as arrays, of many trials a bounded choice."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nas.search.cost_aware.candidates import Rows, Vector
from nas.search.front import front_rows

Indices = NDArray[np.int64]

GROWTH = 1.1
LONGEST_STEP = 128
MOST_LEARNT = 256
"""Of more observations than this a choice is learnt from, and all that came after the choice was made."""
FAR_OUT = 10.0
"""A value is far out where it is so many times as far behind the median as the best value is before it."""
MARGIN = 0.1
"""How far the reference lies beyond the worst value, in shares of the range (Ishibuchi et al. 2018 discuss it)."""


@dataclass(frozen=True)
class Observations:
    """Evaluated candidates in the order of their trials' numbers, values to be minimised, infinity among them."""

    numbers: Indices
    """(n,)."""
    rows: Rows
    values: Rows
    """(n, M)."""

    def __len__(self) -> int:
        return len(self.numbers)


def checkpoint(count: int) -> int:
    """Return the last number of observations, up to `count`, at which the model was to be fitted.

    They follow each other ever more slowly, since one more observation says ever less: after 10 %, or 128 of them.
    """
    reached = min(count, 2)
    while (following := max(reached + 1, min(int(reached * GROWTH), reached + LONGEST_STEP))) <= count:
        reached = following
    return reached


def reference_of(values: Rows, known: Rows, known_objectives: tuple[int, ...]) -> Vector:
    """Return a point (M,) worse than everything that counts, for a study that names none.

    `known` (N, K) are the known values of the whole space, or of many candidates. A value that is far out among the
    unknown ones, as of a training that diverged, doesn't move it.
    """
    result = np.zeros(values.shape[1])
    for k in range(values.shape[1]):
        if k in known_objectives:
            column = np.concatenate([values[:, k], known[:, known_objectives.index(k)]])
        else:
            column = values[np.isfinite(values[:, k]), k]
            if len(column):
                median = float(np.median(column))
                column = column[column - median <= FAR_OUT * (median - column.min())]
        worst = column.max(initial=-np.inf)
        if np.isfinite(worst):
            result[k] = worst + (MARGIN * float(np.ptp(column)) or max(abs(worst), 1.0) * MARGIN)
    return result


def learnt_from(values: Rows, unknown: int, known_objectives: tuple[int, ...]) -> Indices:
    """Return the indices of the observations that a model of one unknown objective learns from, ascending.

    All of them, up to `MOST_LEARNT`. Of more, one half is nearest the front: least worse in the unknown objective than
    the best observation that is at most as dear; the other half is spread over all that is left by number.
    """
    if len(values) <= MOST_LEARNT:
        return np.arange(len(values))
    near = np.argsort(_behind(values[:, [unknown, *known_objectives]]), kind="stable")
    half = MOST_LEARNT // 2
    left = np.sort(near[half:])
    spread = left[np.linspace(0, len(left) - 1, MOST_LEARNT - half).astype(np.int64)]
    return np.sort(np.concatenate([near[:half], spread]))


def _behind(values: Rows) -> Vector:
    """Return (n,): by how much each (n, 1 + K) is worse, first, than the best that is at most as dear."""
    front = values[front_rows(values, [False] * values.shape[1])]
    best = np.full(len(values), np.inf)
    for member in front:
        undercut = (member[1:] <= values[:, 1:]).all(axis=1)
        best[undercut] = np.minimum(best[undercut], member[0])
    return np.asarray(values[:, 0] - best)
