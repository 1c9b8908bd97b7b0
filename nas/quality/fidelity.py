"""Fidelity: how well one ranking of candidates agrees with another, overall and among candidates of like cost.

A short training that ranks as a long one does may say no more than that larger models are better, which their
parameters say for nothing. So a ranking is judged within strata of cost, too, and beside what costs nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BOOTSTRAPS = 1000
INTERVAL = 0.9

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Agreement:
    """Rank agreement of a proxy with what it stands for, each with its 90 % bootstrap interval over candidates."""

    tau: float
    """Kendall's tau-b; within strata the mean over them, weighted by their pairs. NaN of fewer than two candidates."""
    tau_low: float
    tau_high: float
    spearman: float
    spearman_low: float
    spearman_high: float
    candidates: int


def agreement(proxy: Sequence[float], final: Sequence[float], strata: Sequence[int] | None = None) -> Agreement:
    """Return how well `proxy` (N,) ranks as `final` (N,) does; both are better the lower, or both the higher.

    With `strata` (N,), the numbers of the stratum of each, only candidates of one stratum are compared.
    """
    groups = np.zeros(len(final), dtype=np.int64) if strata is None else np.asarray(strata)
    x, y = np.asarray(proxy, dtype=np.float64), np.asarray(final, dtype=np.float64)
    count = len(y)
    if not count:
        unknown = math.nan
        return Agreement(unknown, unknown, unknown, unknown, unknown, unknown, 0)
    rows = np.random.default_rng(0).integers(count, size=(BOOTSTRAPS, count))
    # How often each candidate stands in each draw; in the first one, the sample itself, once
    weights = np.vstack([np.ones(count), np.apply_along_axis(np.bincount, 1, rows, minlength=count)])
    every = _within(x, y, groups, weights)
    low, high = ((1 - INTERVAL) / 2, (1 + INTERVAL) / 2)
    ends = [_quantile(every[1:, column], share) for column in (0, 1) for share in (low, high)]
    return Agreement(float(every[0, 0]), ends[0], ends[1], float(every[0, 1]), ends[2], ends[3], count)


def cost_strata(costs: Sequence[float], count: int) -> list[int]:
    """Return the stratum of each candidate, `count` of them of like size, from the cheapest on."""
    order = np.argsort(np.asarray(costs, dtype=np.float64), kind="stable")
    strata = np.empty(len(order), dtype=np.int64)
    for stratum, rows in enumerate(np.array_split(order, count)):
        strata[rows] = stratum
    return [int(stratum) for stratum in strata]


def _within(x: Vector, y: Vector, groups: NDArray[np.int64], weights: Vector) -> Vector:
    """Return tau-b and Spearman's rho (D, 2) of D draws, each the mean over the groups weighted by their pairs.

    `weights` (D, N) says how often each candidate stands in each draw. NaN where no group has two that differ.
    """
    sums, total = np.zeros((len(weights), 2)), np.zeros(len(weights))
    for group in np.unique(groups):
        rows = groups == group
        drawn = weights[:, rows]
        found = np.column_stack([_tau(x[rows], y[rows], drawn), _spearman(x[rows], y[rows], drawn)])
        size = drawn.sum(axis=1)
        pairs = np.where(np.isfinite(found).all(axis=1), size * (size - 1) / 2, 0.0)
        sums += np.nan_to_num(found) * pairs[:, None]
        total += pairs
    with np.errstate(invalid="ignore"):
        return np.asarray(sums / total[:, None], dtype=np.float64)


def _tau(x: Vector, y: Vector, weights: Vector) -> Vector:
    """Return Kendall's tau-b (D,) over all pairs, each as often as both stand in a draw (Kendall 1945)."""
    sx, sy = (np.sign(values[:, None] - values[None]) for values in (x, y))
    agree, x_differs, y_differs = (((weights @ each) * weights).sum(axis=1) for each in (sx * sy, sx**2, sy**2))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(agree / np.sqrt(x_differs * y_differs), dtype=np.float64)


def _spearman(x: Vector, y: Vector, weights: Vector) -> Vector:
    """Return Spearman's rho (D,): Pearson's of the mid-ranks within each draw."""
    size = weights.sum(axis=1, keepdims=True)
    centred = []
    for values in (x, y):
        below = (values[None] < values[:, None]) + 0.5 * (values[None] == values[:, None])  # (N, N): j below i
        ranks = weights @ below.T  # (D, N), up to a constant
        with np.errstate(invalid="ignore"):
            centred.append(ranks - (ranks * weights).sum(axis=1, keepdims=True) / size)
    a, b = centred
    product, x_spread, y_spread = ((weights * each).sum(axis=1) for each in (a * b, a * a, b * b))
    known = (x_spread > 1e-9) & (y_spread > 1e-9)
    return np.where(known, product / np.sqrt(np.where(known, x_spread * y_spread, 1.0)), math.nan)


def _quantile(values: Vector, share: float) -> float:
    known = values[np.isfinite(values)]
    return float(np.quantile(known, share)) if len(known) else math.nan
