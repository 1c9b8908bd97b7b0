"""Correction: from the sum of sub-blocks measured alone to the latency of a phase of the whole model.

A sub-block measured alone finds its weights in the cache, and its code and buffers, too; in a large model they come
from further away. So a sum of such measurements is right for small models and too low for large ones, with a passage
between. And every measurement alone carries what it costs to call the runtime at all, which a whole model pays once:

    latency = a + c · n + S + (b · S + k · n + g · M) · ramp(log W)

The ramp rises from 0 at the lower knee to 1 at the upper one. S is the sum over the n calls of sub-blocks, M the bytes
of weights that they read, W the working set: weights, each once, caches, and 100 kB a call, for the runtime's own code
and buffers (measured: decoders of twelve narrow layers leave a cache that three wide layers of as many bytes stay in).
Where arithmetic hides the waiting, as in
a prefill, a model beyond its cache is slower by a share b of S; where bytes are all that counts, as in a decoding step,
by g a byte; and by k a call for what every sub-block fetches anew. The seven numbers are fitted on whole models that
were measured beside the sub-blocks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nas.errors import InvalidInput

LEAST_MODELS = 6
"""For a fit. A predictor needs one more, since it fits without each in turn."""
LEAST_SHARE = 0.25
"""Of the sum alone: no prediction is below it, whatever the fit says of models unlike those it saw."""
CALL_BYTES = 100_000
_KNEES = 11
"""Grid points for the knees, from the smallest to the largest bytes measured."""
_HUBER = 0.02
"""A relative error above this weighs in by its size, not by its square: one bad model can't bend the fit."""
_HUBER_STEPS = 6
_NEVER_QUICKER = [(0, 1, *some) for count in range(4) for some in combinations((2, 3, 4), count)]
"""Which of a, c, b, k, g a fit uses: of all these the best whose last three are not below zero counts."""
_RIDGE = 1e-3
"""Of the squares of the numbers, each as a share of a typical model: decides where the models don't."""

Vector = NDArray[np.float64]


class Totals(NamedTuple):
    """What the sub-blocks of one model say of a phase; or of many models, as arrays."""

    sum_ns: float | Vector
    calls: float | Vector
    weight_bytes: float | Vector
    """Read by the calls, shared weights each time."""
    working_bytes: float | Vector
    """Weights, shared ones once, and caches."""

    @property
    def working_set(self) -> float | Vector:
        """What the calls go through, in bytes: the ramp is over its logarithm."""
        return self.working_bytes + CALL_BYTES * self.calls


@dataclass(frozen=True)
class Correction:
    """The seven fitted numbers of a phase."""

    overhead_ns: float
    """a: what a whole model takes beyond its parts."""
    call_ns: float
    """c: what each call of a sub-block takes more in a model than alone, mostly below zero."""
    slowdown: float
    """b: how much slower than alone the sub-blocks run in a model above the upper knee, as a fraction."""
    fetch_ns: float
    """k: what each call takes more in such a model."""
    byte_ns: float
    """g: what each byte of weights takes more in such a model."""
    lower_knee: float
    upper_knee: float
    """Both in log(bytes)."""

    def ramp(self, totals: Totals) -> float | Vector:
        """Return how far a model is on the way from one cache to the next, 0 to 1."""
        log_set = np.log(np.maximum(totals.working_set, 1.0))
        place = (log_set - self.lower_knee) / (self.upper_knee - self.lower_knee)
        result: float | Vector = np.clip(place, 0.0, 1.0)
        return result

    def beyond(self, totals: Totals) -> float | Vector:
        """Return the nanoseconds that are added to a model above the upper knee."""
        return self.slowdown * totals.sum_ns + self.fetch_ns * totals.calls + self.byte_ns * totals.weight_bytes

    def apply(self, totals: Totals) -> float | Vector:
        """Return the predicted nanoseconds: grows with the sum and with the bytes."""
        near = self.overhead_ns + self.call_ns * totals.calls + totals.sum_ns
        whole = near + self.beyond(totals) * self.ramp(totals)
        result: float | Vector = np.maximum(whole, LEAST_SHARE * totals.sum_ns)
        return result


def fit_correction(models: Sequence[Totals], measured_ns: Sequence[float]) -> Correction:
    """Fit on whole models: what their sub-blocks say, and what was measured of them.

    Minimises the Huber loss of the relative error: all knees on a grid, the other numbers in closed form. Raises
    `InvalidInput` for fewer than `LEAST_MODELS` models.
    """
    if len(measured_ns) < LEAST_MODELS:
        raise InvalidInput.of(
            "whole_models",
            f"{len(measured_ns)} valid",
            f"at least {LEAST_MODELS} valid",
            "profile the device again with more whole models",
        )
    columns = [np.array(column, dtype=np.float64) for column in zip(*models, strict=True)]
    return _fit(Totals(*columns), np.asarray(measured_ns, dtype=np.float64))


def left_out(models: Sequence[Totals], measured_ns: Sequence[float]) -> Vector:
    """Return (models,) nanoseconds: of each model what a fit on all the others predicts."""
    predicted = []
    for index in range(len(models)):
        rest = [*models[:index], *models[index + 1 :]]
        fitted = fit_correction(rest, [*measured_ns[:index], *measured_ns[index + 1 :]])
        predicted.append(float(fitted.apply(models[index])))
    return np.array(predicted)


def _fit(of: Totals, t: Vector) -> Correction:
    s, n, m, w = (np.maximum(column, 1.0) for column in (of.sum_ns, of.calls, of.weight_bytes, of.working_set))
    lower, upper = _knee_grid(np.log(w))
    ramp = np.clip((np.log(w) - lower[:, None]) / (upper - lower)[:, None], 0, 1)  # (knee pairs, models)
    # The relative error is linear in the numbers, each in units of a typical model: X θ - y
    units = np.array([np.median(t), np.median(t / n), 1.0, np.median(t / n), np.median(t / m)])
    columns = [np.ones_like(ramp), np.broadcast_to(n, ramp.shape), s * ramp, n * ramp, m * ramp]
    x, y = np.stack(columns, axis=-1) * units / t[:, None], 1 - s / t  # (pairs, models, 5), (models,)
    best: tuple[float, int, Vector] | None = None
    for used in _NEVER_QUICKER:
        theta, loss = _huber(x[..., used], y)
        full = np.zeros((len(theta), len(units)))
        full[:, used] = theta
        loss = np.where((full[:, 2:] >= 0).all(axis=1), loss, np.inf)
        pair = int(np.argmin(loss))
        if best is None or loss[pair] < best[0]:
            best = (float(loss[pair]), pair, full[pair] * units)
    assert best is not None
    _, pair, numbers = best
    a, c, b, k, g = map(float, numbers)
    return Correction(a, c, b, k, g, float(lower[pair]), float(upper[pair]))


def _huber(x: Vector, y: Vector) -> tuple[Vector, Vector]:
    """Return θ (pairs, k) of least Huber loss of X θ - y, and the losses (pairs,), by iterated weighted squares."""
    weights = np.ones(x.shape[:2])
    ridge = _RIDGE * np.eye(x.shape[-1])
    for _ in range(_HUBER_STEPS):
        weighted = np.swapaxes(x * weights[..., None], 1, 2)
        theta = np.linalg.solve(weighted @ x + ridge, weighted @ y[:, None])
        size = np.abs((x @ theta)[..., 0] - y)
        weights = _HUBER / np.maximum(size, _HUBER)
    loss = np.where(size <= _HUBER, size**2, _HUBER * (2 * size - _HUBER)).sum(axis=1)
    found: Vector = np.asarray(theta[..., 0], dtype=np.float64)
    return found, loss + _RIDGE * (found**2).sum(axis=1)


def _knee_grid(log_w: Vector) -> tuple[Vector, Vector]:
    """Return all pairs lower < upper."""
    low, high = float(log_w.min()), float(log_w.max())
    grid = np.linspace(low, max(high, low + 1e-3), _KNEES)
    lower, upper = np.triu_indices(_KNEES, k=1)
    return grid[lower], grid[upper]
