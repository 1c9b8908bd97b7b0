"""Objectives and limits, parsed from the texts of a job and checked against what can be measured."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nas.costs import cost_names
from nas.errors import InvalidInput

Direction = Literal["minimize", "maximize"]


@dataclass(frozen=True)
class MetricInfo:
    """A number that every candidate has, by the name it has in a trial's metrics."""

    name: str
    label: str
    direction: Direction
    unit: str
    known_before_training: bool
    worst: float = math.inf
    """The worst value it can take; only asked of metrics that training gives."""


_COST_LABELS = {
    "parameters": ("Parameters", ""),
    "parameters_without_embeddings": ("Parameters without embeddings", ""),
    "macs": ("MACs", ""),
    "macs_prefill": ("MACs of the prompt", ""),
    "macs_step": ("MACs of one step", ""),
    "size_mb": ("Weights, fp32", "MB"),
    "size_int8_mb": ("Weights, int8", "MB"),
    "kv_cache_mb": ("KV cache", "MB"),
    "peak_activation_mb": ("Peak activations", "MB"),
}


def cost_metrics(devices: tuple[str, ...], family: str = "encoder") -> dict[str, MetricInfo]:
    """Return the metrics known before training: the exact costs, and the predicted latency on each device."""
    infos = [_cost_info(name) for name in cost_names(family)]
    for device in devices:
        infos += [
            MetricInfo(f"latency_ms@{device}", f"Latency on {device}", "minimize", "ms", True),
            MetricInfo(f"latency_lower_ms@{device}", f"Latency on {device}, lower bound", "minimize", "ms", True),
            MetricInfo(f"latency_upper_ms@{device}", f"Latency on {device}, upper bound", "minimize", "ms", True),
        ]
    return {info.name: info for info in infos}


def describe_cost(name: str) -> tuple[str, str]:
    """Return the label and the unit of a cost."""
    return _COST_LABELS[name]


def _cost_info(name: str) -> MetricInfo:
    label, unit = describe_cost(name)
    return MetricInfo(name, label, "minimize", unit, known_before_training=True)


@dataclass(frozen=True)
class Constraint:
    """A limit on one metric."""

    text: str
    metric: str
    operator: Literal["<=", ">="]
    limit: float

    def violation(self, metrics: Mapping[str, float]) -> float:
        """Return by how much the limit is broken, relative to it; 0.0 where it is kept, infinity at NaN."""
        value = metrics[self.metric]
        excess = value - self.limit if self.operator == "<=" else self.limit - value
        if math.isnan(excess):
            return math.inf
        if excess <= 0:
            return 0.0
        return min(excess / (abs(self.limit) or 1.0), sys.float_info.max)

    def keeps(self, values: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return (N,) whether each of N values of the metric keeps the limit: those with a violation of 0."""
        kept: NDArray[np.bool_] = values <= self.limit if self.operator == "<=" else values >= self.limit
        return kept


_CONSTRAINT = re.compile(r"^\s*(?P<metric>[^\s<>=]+)\s*(?P<operator><=|>=)\s*(?P<limit>\S+)\s*$")
_NUMBER = re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?$")


def parse_constraint(text: str, field: str, metrics: Mapping[str, MetricInfo]) -> Constraint:
    """Parse e.g. `parameters <= 5e6`; raise `InvalidInput` for `field` if metric, operator or number is wrong."""
    match = _CONSTRAINT.match(text)
    if match is None or not _NUMBER.match(match["limit"]) or not math.isfinite(float(match["limit"])):
        raise InvalidInput.of(
            field, text, "`METRIC <= NUMBER` or `METRIC >= NUMBER`", "write it like `parameters <= 5e6`"
        )
    name = known_metric(match["metric"], field, metrics).name
    operator: Literal["<=", ">="] = "<=" if match["operator"] == "<=" else ">="
    return Constraint(" ".join(text.split()), name, operator, float(match["limit"]))


def known_metric(name: str, field: str, metrics: Mapping[str, MetricInfo]) -> MetricInfo:
    """Return the metric of that name; raise `InvalidInput` naming the known ones."""
    if name not in metrics:
        shown = [m for m in metrics if not m.startswith(("latency_lower", "latency_upper"))]
        raise InvalidInput.of(
            field,
            name,
            ", ".join(shown),
            "name one of these (a latency is written `latency_ms@DEVICE`, its device listed under `devices`)",
        )
    return metrics[name]
