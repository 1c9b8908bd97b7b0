"""Forecast: what more evaluations would bring, from how the hypervolume has grown so far."""

from __future__ import annotations

import math

LEAST_EVALUATIONS = 16
"""Fewer say nothing of how the growth slows down."""


def foretold_gain(at_quarter: float, at_half: float, now: float, evaluations: int, more: int) -> float:
    """Return the hypervolume that `more` evaluations would add to `now`, which so many `evaluations` came to.

    `at_quarter` and `at_half` are the hypervolumes after a quarter and half of them. Each doubling of the evaluations
    is taken to add a share of what the one before added, the share that the last one did and never more than all; and
    within a doubling to add in proportion to the logarithm of the evaluations, as new bests of random draws come.
    """
    before, gain = at_half - at_quarter, now - at_half
    share = min(1.0, gain / before) if before > 0 else 1.0
    doublings = math.log2((evaluations + more) / evaluations)
    total = 0.0
    while doublings > 0 and gain > 0:
        gain *= share
        total += gain * min(1.0, doublings)
        doublings -= 1
    return min(total, 1.0 - now)
