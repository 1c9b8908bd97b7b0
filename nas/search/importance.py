"""Importance: how much of what candidates differ by in one objective each choice explains alone."""

from __future__ import annotations

import numpy as np

from nas.search.cost_aware.candidates import Rows, Vector

MOST_LEVELS = 32
"""A choice with more different values than this counts as a number, and explains what a straight line does."""


def explained(described: Rows, values: Vector) -> float:
    """Return the share, 0 to 1, of the variance of `values` (N,) that `described` (N, D) explains, D ≥ 1.

    That of the group means where candidates have few different descriptions, which is the first-order index of Sobol
    (1993) of an independent choice; else that of a least-squares fit. Less what the same number of groups, or of
    slopes, would explain by chance (Ezekiel's adjusted R²). 0 where all values are alike.
    """
    centred = values - values.mean()
    total = float(centred @ centred)
    if total <= 1e-24 * max(1.0, float(np.abs(values).max()) ** 2) * len(values):
        return 0.0
    levels, group = np.unique(described, axis=0, return_inverse=True)
    if len(levels) <= MOST_LEVELS:
        counts = np.bincount(group)
        means = np.bincount(group, weights=centred) / counts
        within, degrees = total - float(counts @ means**2), len(levels) - 1
    else:
        slopes = described - described.mean(axis=0)
        fitted, _, degrees, _ = np.linalg.lstsq(slopes, centred, rcond=None)
        left = centred - slopes @ fitted
        within = float(left @ left)
    left_over = len(values) - degrees - 1
    if left_over < 1:
        return 0.0
    return float(np.clip(1.0 - within / total * (len(values) - 1) / left_over, 0.0, 1.0))
