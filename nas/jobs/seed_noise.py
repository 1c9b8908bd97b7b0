"""How much a metric differs between seeds of one architecture, as the trainings in full of a job have shown."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from nas.store.records import RetrainingRecord


@dataclass(frozen=True)
class SeedNoise:
    """Of the scores after so many steps."""

    steps: int
    deviation: float
    """Standard deviation, pooled over architectures."""
    degrees: int
    """Of freedom: trainings less architectures."""


def seed_noise(records: Iterable[RetrainingRecord], metric: str, rungs: Sequence[int]) -> list[SeedNoise]:
    """Return the noise on each rung, from complete trainings of one length; empty if no architecture has two."""
    groups: dict[int, list[RetrainingRecord]] = {}
    for record in records:
        groups.setdefault(record.key.trial, []).append(record)
    found = []
    for steps in rungs:
        squares, degrees = 0.0, 0
        for group in groups.values():
            values = [score_after(record, metric, steps) for record in group]
            squares += sum((value - statistics.fmean(values)) ** 2 for value in values)
            degrees += len(values) - 1
        if degrees:
            found.append(SeedNoise(steps, math.sqrt(squares / degrees), degrees))
    return found


def score_after(record: RetrainingRecord, metric: str, steps: int) -> float:
    """Return the metric of a training after so many steps, one of its rungs."""
    return float(next(score["metrics"][metric] for score in record.scores if score["steps"] == steps))
