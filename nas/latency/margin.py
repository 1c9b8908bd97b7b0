"""Margin: how far from its prediction a measurement may lie, nine times of ten.

Two things part them. What the fit does not say of a model: told by the whole models, each predicted by a fit on all the
others. And that a device wanders, so that another hour would have shown another table: told by the same whole models,
their launches drawn again in blocks of time (a block bootstrap, Künsch 1989, doi 10.1214/aos/1176347265). Both are
larger for a model that is beyond its cache, since what lies further away is shared with others; so both are straight
lines over how far beyond it a model is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nas.latency.measurement import QUANTILE, Measurement

COVERAGE = 0.9
LEAST_DRIFT = 0.015
"""No machine is taken to be steadier: one that is up to `COMPARABLE` slower counts as being as fast as before when it
is measured again, and whole models wander somewhat more than the sentinel."""
_LEAST_OF_MEAN = 0.25
"""No model's error is taken to be smaller than this share of the mean one: few models told so."""
_BLOCKS = 8
"""Of time, in each campaign: long enough for a storm, many enough to draw from."""
_DRAWS = 200

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Margin:
    """Half the 90 % interval relative to the prediction; near: all in the cache, far: all of the model beyond it."""

    error_near: float
    error_far: float
    drift_near: float
    drift_far: float

    def at(self, beyond: float | Vector) -> float | Vector:
        """Return the margin of models that are so far beyond their cache, 0 to 1."""
        error = self.error_near + (self.error_far - self.error_near) * beyond
        drift = self.drift_near + (self.drift_far - self.drift_near) * beyond
        result: float | Vector = np.hypot(error, drift)
        return result


def fit_margin(errors: Sequence[float], beyond: Vector, drifts: Vector) -> Margin:
    """Return the margin that whole models (N,) come to.

    `errors` are predicted / measured - 1, each of a fit without that model. The size of an error is a line over
    `beyond`; errors in units of it have a quantile with the rank that the jackknife prescribes for a sample of
    this size (Barber et al. 2021, arXiv 1905.02928), the largest of them where the sample is smaller than that asks.
    `drifts` (draws, N) are how much slower each model would have been at another time, as `drifts_of` gives them.
    """
    sizes = np.abs(1 / (1 + np.asarray(errors, dtype=np.float64)) - 1)
    near, far = _rising_line(beyond, sizes)
    least = _LEAST_OF_MEAN * float(sizes.mean()) or 1.0
    near, far = max(near, least), max(far, least)
    quantile = _quantile(sizes / (near + (far - near) * beyond))
    centred = beyond - beyond.mean()
    slopes = drifts @ centred / max(float(centred @ centred), 1e-12)
    starts = drifts.mean(axis=1) - slopes * beyond.mean()
    ends = [max(LEAST_DRIFT, float(np.quantile(np.abs(drift), COVERAGE))) for drift in (starts, starts + slopes)]
    return Margin(quantile * near, quantile * far, ends[0], ends[1])


def drifts_of(models: Sequence[Sequence[tuple[int, Measurement]]], seed: int = 0) -> Vector:
    """Return (draws, N): how two campaigns on the same device would differ, relative, of each whole model.

    A model is given as (runs, measurement) of its phases. The blocks of time are drawn with repetition, the same for
    all models, twice; the difference of what the two draws come to is one drift.
    """
    flat = [measurement for phases in models for _, measurement in phases]
    blocks = [_blocks_of(measurement) for measurement in flat]
    longest = max(block.shape[1] for block in blocks)
    launches = np.full((len(flat), _BLOCKS, longest), np.inf)
    for row, block in enumerate(blocks):
        launches[row, :, : block.shape[1]] = block
    rng = np.random.default_rng(seed)
    runs = np.array([runs for phases in models for runs, _ in phases], dtype=np.float64)
    known = np.array([measurement.latency_ns for measurement in flat], dtype=np.float64)
    starts = np.cumsum([0, *(len(phases) for phases in models[:-1])])

    def draw() -> Vector:
        taken = launches[:, rng.integers(_BLOCKS, size=_BLOCKS)].reshape(len(flat), -1)
        figures = _figures_of(np.sort(taken, axis=1))
        whole: Vector = np.add.reduceat(runs * np.where(np.isfinite(figures), figures, known), starts)
        return whole

    return np.array([np.log(draw() / draw()) for _ in range(_DRAWS)])


def _figures_of(launches: Vector) -> Vector:
    """Return (rows,): what a measurement makes of each row of sorted launches, of which infinite ones are none."""
    last = np.maximum(np.isfinite(launches).sum(axis=1) - 1, 0)
    place = QUANTILE * last
    below = np.floor(place).astype(np.int64)
    rows = np.arange(len(launches))
    lower, upper = launches[rows, below], launches[rows, np.minimum(below + 1, last)]
    with np.errstate(invalid="ignore"):  # of no launch at all
        result: Vector = lower + (place - below) * (upper - lower)
    return result


def _blocks_of(measurement: Measurement) -> Vector:
    """Return (blocks, launches): the launches in the order they were taken, infinite where they don't count."""
    calm = set(measurement.calm)
    values = [float(ns) if i in calm else math.inf for i, ns in enumerate(measurement.launches_ns)]
    parts = np.array_split(np.array(values), _BLOCKS)
    result = np.full((_BLOCKS, max(map(len, parts))), np.inf)
    for row, part in enumerate(parts):
        result[row, : len(part)] = part
    return result


def _rising_line(x: Vector, y: Vector) -> tuple[float, float]:
    """Return the values at 0 and 1 of the line through (x, y) of least squares that does not fall."""
    centred = x - x.mean()
    slope = max(0.0, float(centred @ y) / max(float(centred @ centred), 1e-12))
    start = float(y.mean() - slope * x.mean())
    return start, start + slope


def _quantile(sizes: Vector) -> float:
    rank = math.ceil(COVERAGE * (len(sizes) + 1))
    return float(np.sort(sizes)[min(rank, len(sizes)) - 1])
