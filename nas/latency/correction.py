"""Correction: from the sum of sub-blocks measured alone to the latency of the whole model.

A sub-block measured alone finds its weights in the cache; in a large model they come from further away. So a sum of
such measurements is right for small models and too low for large ones, with a passage between:

    latency = a + S · (1 + b · ramp(log W)),    ramp rising from 0 at the lower knee to 1 at the upper knee

S is the sum of the sub-blocks, W the bytes of weights that one inference reads. The four numbers a, b and the two
knees are fitted on whole models that were measured beside the sub-blocks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nas.errors import InvalidInput

LEAST_MODELS = 6
_KNEES = 25
"""Grid points for the knees, from the smallest to the largest weight bytes measured."""
_HUBER = 0.03
"""A relative error above this weighs in by its size, not by its square: one bad model can't bend the fit."""
_HUBER_STEPS = 6
_COVERAGE = 0.9

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Correction:
    """The four fitted numbers, and how far off such a fit was on models that it had not seen."""

    overhead_ns: float
    """a: what a whole model takes beyond its parts; below zero where the calls of the parts weigh more."""
    slowdown: float
    """b: how much slower than alone the sub-blocks run in a model above the upper knee, as a fraction."""
    lower_knee: float
    upper_knee: float
    """Both in log(bytes)."""
    left_out_errors: tuple[float, ...] = ()
    """Of each whole model, predicted by a fit on all the others: predicted / measured - 1."""

    def factor(self, weight_bytes: float) -> float:
        """Return by what the sum of the sub-blocks is to be multiplied."""
        place = (math.log(max(weight_bytes, 1.0)) - self.lower_knee) / (self.upper_knee - self.lower_knee)
        return 1.0 + self.slowdown * min(1.0, max(0.0, place))

    def apply(self, sum_ns: float, weight_bytes: float) -> float:
        """Return the predicted nanoseconds: grows with both arguments."""
        return self.overhead_ns + sum_ns * self.factor(weight_bytes)

    @property
    def interval(self) -> float:
        """Return q such that measured / predicted lies in 1 ± q with 90 % confidence.

        A quantile of the left-out errors with the rank that the jackknife prescribes for a sample of this size
        (Barber et al. 2021, arXiv 1905.02928); the largest of them where the sample is smaller than that asks.
        """
        errors = sorted(abs(1 / (1 + error) - 1) for error in self.left_out_errors)
        rank = math.ceil(_COVERAGE * (len(errors) + 1))
        return errors[min(rank, len(errors)) - 1]


def fit_correction(sums_ns: Sequence[float], weight_bytes: Sequence[float], measured_ns: Sequence[float]) -> Correction:
    """Fit on whole models: the sums of their sub-blocks, their weight bytes, and what was measured of them.

    Minimises the Huber loss of the relative error: all knees on a grid, the other two numbers in closed form.
    Raises `InvalidInput` for fewer than `LEAST_MODELS` models.
    """
    if len(measured_ns) < LEAST_MODELS:
        raise InvalidInput.of(
            "whole_models",
            f"{len(measured_ns)} valid",
            f"at least {LEAST_MODELS} valid",
            "profile the device again with more whole models",
        )
    s, log_w, t = (np.asarray(x, dtype=np.float64) for x in (sums_ns, np.log(np.maximum(weight_bytes, 1)), measured_ns))
    errors = []
    for left_out in range(len(t)):
        rest = np.arange(len(t)) != left_out
        fitted = _fit(s[rest], log_w[rest], t[rest])
        predicted = fitted.apply(float(s[left_out]), math.exp(log_w[left_out]))
        errors.append(predicted / float(t[left_out]) - 1)
    whole = _fit(s, log_w, t)
    return Correction(whole.overhead_ns, whole.slowdown, whole.lower_knee, whole.upper_knee, tuple(errors))


def _fit(s: Vector, log_w: Vector, t: Vector) -> Correction:
    lower, upper = _knee_grid(log_w)
    ramp = np.clip((log_w - lower[:, None]) / (upper - lower)[:, None], 0, 1)  # (knee pairs, models)
    # The relative error is linear in a and b: a·u + b·v - y
    u, v, y = 1 / t, s * ramp / t, 1 - s / t
    least_a = -0.1 * float(t.min())  # a prediction must stay above zero
    weights = np.ones_like(v)
    for _ in range(_HUBER_STEPS):
        a, b = _least_squares(u, v, y, weights, least_a)
        size = np.abs(a[:, None] * u + b[:, None] * v - y)
        weights = _HUBER / np.maximum(size, _HUBER)
    loss = np.where(size <= _HUBER, size**2, _HUBER * (2 * size - _HUBER)).sum(axis=1)
    best = int(np.argmin(loss))
    return Correction(float(a[best]), float(b[best]), float(lower[best]), float(upper[best]))


def _knee_grid(log_w: Vector) -> tuple[Vector, Vector]:
    """Return all pairs lower < upper."""
    low, high = float(log_w.min()), float(log_w.max())
    grid = np.linspace(low, max(high, low + 1e-3), _KNEES)
    lower, upper = np.triu_indices(_KNEES, k=1)
    return grid[lower], grid[upper]


def _least_squares(u: Vector, v: Vector, y: Vector, weights: Vector, least_a: float) -> tuple[Vector, Vector]:
    """Return for each row of `v` and `weights` the a ≥ least_a, b ≥ 0 of least Σ weight · (a·u + b·v - y)²."""
    uu, uv, vv = (weights * u * u).sum(1), (weights * u * v).sum(1), (weights * v * v).sum(1)
    uy, vy = (weights * u * y).sum(1), (weights * v * y).sum(1)
    with np.errstate(divide="ignore", invalid="ignore"):
        determinant = uu * vv - uv * uv
        a = np.nan_to_num((uy * vv - vy * uv) / determinant, nan=0.0, posinf=0.0, neginf=0.0)
        b = np.nan_to_num((vy * uu - uy * uv) / determinant, nan=-1.0, posinf=-1.0, neginf=-1.0)
        # Outside the bounds the optimum of a convex quadratic lies on one of them
        a_alone = np.maximum(uy / uu, least_a)
        b_at_least_a = np.nan_to_num(np.maximum((vy - least_a * uv) / vv, 0.0), nan=0.0, posinf=0.0)
    use_bound_a = (a < least_a) & (b >= 0)
    a, b = np.where(use_bound_a, least_a, a), np.where(use_bound_a, b_at_least_a, b)
    use_bound_b = b < 0
    return np.where(use_bound_b, a_alone, a), np.where(use_bound_b, 0.0, b)
