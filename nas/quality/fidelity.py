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
from scipy.stats import kendalltau, spearmanr

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
    rng = np.random.default_rng(0)
    drawn = []
    for _ in range(BOOTSTRAPS):
        rows = rng.integers(len(y), size=len(y))
        drawn.append(_within(x[rows], y[rows], groups[rows]))
    low, high = ((1 - INTERVAL) / 2, (1 + INTERVAL) / 2)
    every = np.array(drawn)
    tau, spearman = _within(x, y, groups)
    ends = [_quantile(every[:, column], share) for column in (0, 1) for share in (low, high)]
    return Agreement(tau, ends[0], ends[1], spearman, ends[2], ends[3], len(y))


def cost_strata(costs: Sequence[float], count: int) -> list[int]:
    """Return the stratum of each candidate, `count` of them of like size, from the cheapest on."""
    order = np.argsort(np.asarray(costs, dtype=np.float64), kind="stable")
    strata = np.empty(len(order), dtype=np.int64)
    for stratum, rows in enumerate(np.array_split(order, count)):
        strata[rows] = stratum
    return [int(stratum) for stratum in strata]


def _within(x: Vector, y: Vector, groups: NDArray[np.int64]) -> tuple[float, float]:
    """Return tau and Spearman's rho, each the mean over the groups weighted by their pairs."""
    sums, weight = np.zeros(2), 0.0
    for group in np.unique(groups):
        rows = groups == group
        pairs = rows.sum() * (rows.sum() - 1) / 2
        if pairs and np.ptp(x[rows]) > 0 and np.ptp(y[rows]) > 0:
            sums += pairs * np.array([kendalltau(x[rows], y[rows]).statistic, spearmanr(x[rows], y[rows]).statistic])
            weight += pairs
    if not weight:
        return math.nan, math.nan
    return float(sums[0] / weight), float(sums[1] / weight)


def _quantile(values: Vector, share: float) -> float:
    known = values[np.isfinite(values)]
    return float(np.quantile(known, share)) if len(known) else math.nan
