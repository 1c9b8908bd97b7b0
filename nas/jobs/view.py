"""A job's trials ranked under some objectives and limits: what everything that is told of a job rests on."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np

from nas.errors import InvalidInput
from nas.jobs.context import job_metrics
from nas.search.front import Values, front_rows, hypervolume, knee
from nas.search.job import JobSpec
from nas.search.objectives import Constraint, MetricInfo, known_metric, parse_constraint
from nas.store.records import JobRecord, RetrainingRecord, TrialState, TrialSummary
from nas.store.store import Store

VIEWS_KEPT = 64


@dataclass(frozen=True)
class View:
    """A job's trials ranked under some objectives and limits."""

    objectives: tuple[MetricInfo, ...]
    constraints: tuple[Constraint, ...]
    trials: tuple[TrialSummary, ...]
    front: tuple[int, ...]
    """Trial numbers of the non-dominated feasible trials, best in the last objective first."""
    knee: int | None
    retrainings: tuple[RetrainingRecord, ...]
    """What was trained in full after the search, by trial, steps and seed."""
    hypervolume: float | None
    """0 to 1; None before the first evaluated trial, or where the job has no reference for these objectives."""


_views: OrderedDict[tuple[Any, ...], View] = OrderedDict()
_lock = Lock()


def view_of(
    store: Store, job: JobRecord, objectives: list[str] | None = None, constraints: list[str] | None = None
) -> View:
    """Return the job's trials ranked, by its own objectives and limits unless others are given.

    Raises `InvalidInput` where an objective or limit names a metric that the job's trials don't have.
    """
    spec = JobSpec.from_document(job.document["spec"])
    metrics = job_metrics(spec, job.document)
    chosen = tuple(
        known_metric(name, f"objectives[{i}]", metrics)
        for i, name in enumerate(spec.objectives if objectives is None else objectives)
    )
    if not 1 <= len(chosen) <= 4:
        raise InvalidInput.of("objectives", len(chosen), "1 to 4 metrics", "name them, separated by commas")
    limits = tuple(
        parse_constraint(text, f"constraint[{i}]", metrics)
        for i, text in enumerate(spec.constraints if constraints is None else constraints)
    )
    key = (store.address, job.id, store.last_sequence(job.id), job.reference is None, chosen, limits)
    with _lock:
        if key in _views:
            _views.move_to_end(key)
            return _views[key]
    trials, retrainings = tuple(store.trial_summaries(job.id)), tuple(store.retrainings(job.id))
    view = _rank(chosen, limits, trials, retrainings, job.reference)
    with _lock:
        _views[key] = view
        while len(_views) > VIEWS_KEPT:
            _views.popitem(last=False)
    return view


def _rank(
    objectives: tuple[MetricInfo, ...],
    constraints: tuple[Constraint, ...],
    trials: tuple[TrialSummary, ...],
    retrainings: tuple[RetrainingRecord, ...],
    reference: dict[str, Any] | None,
) -> View:
    eligible = [
        t for t in trials if t.state is TrialState.COMPLETE and all(c.violation(t.metrics) == 0 for c in constraints)
    ]
    values: Values = np.array([[t.metrics[o.name] for o in objectives] for t in eligible], dtype=np.float64).reshape(
        len(eligible), len(objectives)
    )
    maximise = [o.direction == "maximize" for o in objectives]
    members = front_rows(values, maximise)
    members.sort(key=lambda row: (values[row, -1] * (-1 if maximise[-1] else 1), eligible[row].number))
    at_knee = knee(values, maximise)
    volume = hypervolume_of(eligible, objectives, reference)
    return View(
        objectives,
        constraints,
        trials,
        tuple(eligible[row].number for row in members),
        None if at_knee is None else eligible[at_knee].number,
        retrainings,
        volume,
    )


def hypervolume_of(
    eligible: Sequence[TrialSummary], objectives: Sequence[MetricInfo], reference: Mapping[str, Any] | None
) -> float | None:
    """Return the hypervolume of trials within the limits, 0 to 1; None without any, or without a reference for it."""
    if not eligible or not reference or any(o.name not in reference["point"] for o in objectives):
        return None
    values = np.array([[t.metrics[o.name] for o in objectives] for t in eligible], dtype=np.float64)
    worst, ideal = ([reference[end][o.name] for o in objectives] for end in ("point", "ideal"))
    return hypervolume(values, [o.direction == "maximize" for o in objectives], worst, ideal)
