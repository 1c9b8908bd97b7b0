"""What a task can report about a model: each metric with its direction, unit and worst value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from nas.errors import InvalidInput


@dataclass(frozen=True)
class Metric:
    """One quality figure that a trained model is given."""

    name: str
    direction: Literal["minimize", "maximize"]
    worst: float
    """A finite value that no useful model exceeds (or falls below, when maximised)."""
    unit: str
    label: str
    """What a person reads at an axis or in a table's head."""


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("error_rate", "minimize", worst=1.0, unit="", label="error rate"),
        Metric("phoneme_error_rate", "minimize", worst=2.0, unit="", label="phoneme error rate"),
        Metric("token_error_rate", "minimize", worst=2.0, unit="", label="token error rate"),
        Metric("exact_error_rate", "minimize", worst=1.0, unit="", label="share of outputs with an error"),
        # Twice what guessing evenly among 256 bytes costs; a model beyond it has learned nothing
        Metric("bits_per_byte", "minimize", worst=16.0, unit="bits", label="bits per byte"),
        # Twice what guessing evenly among 22,000 tokens costs
        Metric("loss", "minimize", worst=20.0, unit="nats", label="cross-entropy"),
    )
}


def metric(name: str, field: str = "task.metric") -> Metric:
    """Return the metric of that name; raise `InvalidInput` naming the known ones."""
    try:
        return METRICS[name]
    except (KeyError, TypeError):
        raise InvalidInput.of(field, name, ", ".join(METRICS), "name one of these metrics") from None
