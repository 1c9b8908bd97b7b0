"""Projection: what a score is expected to be after a training `LONGER` times as long.

Candidates that learn fast are not those that end best. A score on the way tells the two apart: with each doubling of
its steps a training is taken to bring half of what the doubling before brought, so that `LONGER` times as many bring
1/2 + 1/4 + 1/8 of what the second half of this one did. Whether that ranks better than the score is measured by
`benchmarks/quality.py ranking`; docs/quality.md says on what the rule was found.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from nas.quality.metrics import PROJECTED, metric

LONGER = 8
_TO_COME = 1 - 1 / LONGER
"""Of the gain of the last doubling: 1/2 + 1/4 + … over the doublings that make a training so much longer."""
LEAST_REDUCTION = 2.0
"""Of a job's promotion: with less, half of a rung's steps are fewer than those of the rung below, where no trunk is."""


def half_of(steps: int) -> int:
    """Return the steps of the score that a score after `steps` is projected from."""
    return math.ceil(steps / 2)


def projected(half: Mapping[str, float], scores: Mapping[str, float]) -> dict[str, float]:
    """Return each metric projected, by its name behind `PROJECTED`, from the scores after half the steps and after all.

    No value is beyond the worst of its metric, or better than a perfect model's, 0.
    """
    return {
        PROJECTED + name: min(max(0.0, value - _TO_COME * (half[name] - value)), metric(name).worst)
        for name, value in scores.items()
    }


def as_projected(scores: Mapping[str, float]) -> dict[str, float]:
    """Return the scores of a training in full as what projections stand for: there nothing more is to come."""
    return {PROJECTED + name: value for name, value in scores.items()}
