"""The pick under any limit on a cost, and what the next step along the front buys."""

from __future__ import annotations

from itertools import zip_longest
from typing import Any

import numpy as np

from nas.errors import InvalidInput
from nas.jobs.evaluated import figures_of
from nas.jobs.fidelity_words import APART
from nas.jobs.other_devices import metrics_for
from nas.jobs.reading import noise_of_proxy
from nas.jobs.report import describe_constraint, describe_objective
from nas.jobs.view import view_of
from nas.search.job import JobSpec
from nas.search.objectives import MetricInfo, known_metric
from nas.search.reading import staircase
from nas.store.records import JobRecord
from nas.store.store import Store


def picks_of(
    store: Store,
    job: JobRecord,
    cost: str | None = None,
    quality: str | None = None,
    constraints: list[str] | None = None,
) -> dict[str, Any]:
    """Return the best trial under every limit on a cost (the Picks of the REST contract).

    Without names, the cost is the last one among the job's objectives (`parameters` where it has none) and the quality
    is that of its task. Raises `InvalidInput` for a metric that the job's trials don't have, or a cost that is none.
    """
    spec = JobSpec.from_document(job.document["spec"])
    paid, bought = _chosen(store, spec, job, cost, quality)
    view = view_of(store, job, [bought, paid], constraints)
    by, of = view.objectives[1], view.objectives[0]
    bounds = _bounds_of(by)
    figures = figures_of(store, job, [by.name, of.name, *bounds], view.front)
    maximise = of.direction == "maximize"
    rows = staircase(figures[:, 0], figures[:, 1], maximise=maximise)
    noise = noise_of_proxy(job, view_of(store, job)) if of.name == spec.task.metric else None
    exact = of.known_before_training and not of.name.startswith("latency_")
    least = 0.0 if exact else None if noise is None else APART * noise.deviation
    return {
        "cost": describe_objective(by),
        "quality": describe_objective(of),
        "constraints": [describe_constraint(c) for c in view.constraints],
        "noise": None if noise is None else {"deviation": noise.deviation, "degrees": noise.degrees},
        "picks": [
            {
                "trial": view.front[row],
                "cost": float(figures[row, 0]),
                "quality": float(figures[row, 1]),
                "lower": float(figures[row, 2]) if bounds and np.isfinite(figures[row, 2]) else None,
                "upper": float(figures[row, 3]) if bounds and np.isfinite(figures[row, 3]) else None,
                "next": None if after is None else _step(figures, view.front, row, after, least),
            }
            for row, after in zip_longest(rows, rows[1:])
        ],
    }


def _step(figures: Any, numbers: tuple[int, ...], row: int, after: int, least: float | None) -> dict[str, Any]:
    more = float(figures[after, 0] - figures[row, 0])
    gain = float(abs(figures[after, 1] - figures[row, 1]))
    return {
        "trial": numbers[after],
        "more": more,
        "gain": gain,
        "rate": gain / more,
        "within_noise": None if least is None else gain < least,
    }


def _chosen(store: Store, spec: JobSpec, job: JobRecord, cost: str | None, quality: str | None) -> tuple[str, str]:
    metrics = metrics_for(store, job, [("cost", cost or ""), ("quality", quality or "")])
    costs = [name for name in spec.objectives if metrics[name].known_before_training]
    paid, bought = cost or (costs[-1] if costs else "parameters"), quality or spec.task.metric
    known_metric(bought, "quality", metrics)
    if not known_metric(paid, "cost", metrics).known_before_training:
        allowed = ", ".join(name for name, info in metrics.items() if info.known_before_training)
        raise InvalidInput.of("cost", paid, allowed, "name a cost: a quality has no price")
    if paid == bought:
        raise InvalidInput.of("quality", bought, f"another metric than {paid}", "name what the cost is to buy")
    return paid, bought


def _bounds_of(cost: MetricInfo) -> list[str]:
    kind, _, device = cost.name.partition("@")
    return [f"latency_{end}_ms@{device}" for end in ("lower", "upper")] if kind == "latency_ms" else []
