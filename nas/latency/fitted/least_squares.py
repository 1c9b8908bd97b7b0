"""Least squares for latencies: of relative errors, without negative coefficients, and hard to bend by bad rows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nas.latency.fitted.features import Vector

Matrix = NDArray[np.float64]
Flags = NDArray[np.bool_]

_ROUNDS = 10
_SETTLED = 1e-6
"""No prediction moved by more, against a low latency: further rounds change nothing."""
_LEAST_TURN = 0.002
"""A relative error below this is never called large, however well the other rows fit."""

_GROSS_TURNS = 8.0
_LEAST_GROSS = 0.25
"""A row farther off than both says nothing of the architecture; it counts for nothing once the fit has settled."""


def robust_fit(x: Matrix, latencies: Vector, penalties: Vector) -> Vector:
    """Return the coefficients b ≥ 0, shape (terms,), of least Σ huber((t - x·b) / (x·b)) + Σ penalty · b².

    `x` is (rows, terms) and `latencies` (rows,), above zero. `penalties` (terms,) apply to terms scaled to a root
    mean square of 1 relative to the latency. Errors turn from squared to absolute at the standard deviation that
    the median absolute deviation tells, and gross ones count for nothing. Solved by reweighting, both for the loss
    and for the division by x·b.
    """
    low, high = np.quantile(latencies, (0.05, 0.95))
    target = np.clip(latencies, low / 2, high * 2)  # for the start only, before there are errors to weigh by
    scale = np.full_like(latencies, np.median(latencies))
    weights = np.ones_like(latencies)
    b = np.zeros(x.shape[1])
    predicted = scale
    for turned in range(_ROUNDS):
        z, y = x / scale[:, None], target / scale
        size = np.sqrt((z**2).mean(axis=0))
        z = z / np.where(size > 0, size, 1)
        gram = (z * weights[:, None]).T @ z + np.diag(penalties * len(y))
        b = nonnegative(gram, z.T @ (weights * y), b > 0) / np.where(size > 0, size, 1)
        before, predicted = predicted, x @ b
        target = latencies
        scale = np.maximum(predicted, low / 2)
        errors = (latencies - predicted) / scale
        turn = max(spread_of(errors), _LEAST_TURN)
        weights = turn / np.maximum(np.abs(errors), turn)
        if turned >= _ROUNDS // 2:
            weights[np.abs(errors) > max(_GROSS_TURNS * turn, _LEAST_GROSS)] = 0.0
            if float(np.abs(predicted - before).max()) < _SETTLED * low:
                break
    return b


def spread_of(errors: Vector) -> float:
    """Return the standard deviation that the median absolute deviation tells: outliers don't move it."""
    return float(1.4826 * np.median(np.abs(errors - np.median(errors))))


def nonnegative(gram: Matrix, target: Vector, likely: Flags | None = None) -> Vector:
    """Return the b ≥ 0 of least b·gram·b - 2·target·b: Lawson and Hanson's active set on the normal equations.

    Bro and de Jong 1997, Journal of Chemometrics 11, 393–401. `gram` (terms, terms) is positive definite; `likely` are
    the terms thought to be above zero, which saves steps if it is right and changes nothing else.
    """
    free = np.zeros(len(target), dtype=bool) if likely is None else likely.copy()
    b = _solved(gram, target, free)
    while (b < 0).any():
        free &= b > 0
        b = _solved(gram, target, free)
    tolerance = 1e-10 * max(1.0, float(np.abs(target).max()))
    for _ in range(10 * len(target)):
        slope = target - gram @ b
        slope[free] = -np.inf
        best = int(np.argmax(slope))
        if slope[best] <= tolerance:
            break
        free[best] = True
        while True:
            wanted = _solved(gram, target, free)
            below = free & (wanted <= 0)
            if not below.any():
                break
            # Go as far towards the optimum as no coefficient turns negative, and fix the first that would
            step = float((b[below] / (b[below] - wanted[below])).min())
            b = b + step * (wanted - b)
            free &= b > 1e-14 * max(1.0, float(b.max()))
            b[~free] = 0.0
        b = wanted
    return b


def _solved(gram: Matrix, target: Vector, free: Flags) -> Vector:
    """Return the b that solves the free rows, zero elsewhere."""
    b = np.zeros(len(target))
    places = np.flatnonzero(free)
    b[places] = np.linalg.solve(gram[places[:, None], places], target[places])
    return b
