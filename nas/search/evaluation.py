"""Evaluation: what evaluating one candidate gives. Apart from the loop, since evaluation processes need no Optuna."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Evaluation:
    """What evaluating one candidate gave. Either `metrics` or `error` is set."""

    metrics: Mapping[str, float] | None
    """The metrics that training gave (the costs are known already)."""
    training: Mapping[str, Any] | None
    """Its record; of a failure only what was known by then."""
    weights: bytes | None
    error: str | None
    duration_s: float
    test_metrics: Mapping[str, float] | None = None
    """On the test split, where that was asked for: never by a search."""
