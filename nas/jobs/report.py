"""What is told of a job: its summary, its trials, its front. Doors translate these; they compute nothing."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Lock
from typing import Any

import numpy as np

from nas.errors import InvalidInput
from nas.jobs.context import job_metrics
from nas.search.front import Values, front_rows, hypervolume, knee
from nas.search.job import JobSpec
from nas.search.objectives import Constraint, MetricInfo, known_metric, parse_constraint
from nas.store.records import JobRecord, JobState, TrialRecord, TrialState, TrialSummary
from nas.store.store import Store

QUALITY_LABEL = "proxy"
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
    view = _rank(chosen, limits, tuple(store.trial_summaries(job.id)), job.reference)
    with _lock:
        _views[key] = view
        while len(_views) > VIEWS_KEPT:
            _views.popitem(last=False)
    return view


def _rank(
    objectives: tuple[MetricInfo, ...],
    constraints: tuple[Constraint, ...],
    trials: tuple[TrialSummary, ...],
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
    volume = None
    if eligible and reference and all(o.name in reference["point"] for o in objectives):
        point = [reference["point"][o.name] for o in objectives]
        ideal = [reference["ideal"][o.name] for o in objectives]
        volume = hypervolume(values, maximise, point, ideal)
    return View(
        objectives,
        constraints,
        trials,
        tuple(eligible[row].number for row in members),
        None if at_knee is None else eligible[at_knee].number,
        volume,
    )


def describe_job(store: Store, job: JobRecord) -> dict[str, Any]:
    """Return the summary of a job (the JobSummary of the REST contract)."""
    spec = JobSpec.from_document(job.document["spec"])
    view = view_of(store, job)
    base = f"/v1/jobs/{job.id}"
    return {
        "id": job.id,
        "name": job.name,
        "state": str(job.state),
        "reason": job.reason,
        "cancel_requested": job.cancel_requested,
        "created_at": _text(job.created_at),
        "started_at": _text(job.started_at),
        "finished_at": _text(job.finished_at),
        "search_space": job.document["search_space"]["name"],
        "dataset": spec.task.dataset,
        "sampler": spec.sampler,
        "seed": spec.seed,
        "devices": list(spec.devices),
        "workload": spec.workload.model_dump(mode="json"),
        "objectives": [_describe_objective(o) for o in view.objectives],
        "constraints": [_describe_constraint(c) for c in view.constraints],
        "budget": {"trials": spec.budget.trials, "hours": spec.budget.hours},
        "progress": progress_of(store, job, view),
        "reference": job.reference,
        "document": job.document["spec"],
        "links": {
            "self": base,
            "front": f"{base}/front",
            "trials": f"{base}/trials",
            "events": f"{base}/events",
            "page": f"/jobs/{job.id}",
        },
    }


def progress_of(store: Store, job: JobRecord, view: View | None = None) -> dict[str, Any]:
    """Return how far a job is: counts, front, hypervolume, and the time left in seconds if it can be told."""
    view = view or view_of(store, job)
    counts = store.counts(job.id)
    evaluated = counts.complete + counts.stopped + counts.failed
    budget = int(job.document["spec"]["budget"]["trials"])
    return {
        "evaluated": evaluated,
        "budget": budget,
        "running": counts.running,
        "failed": counts.failed,
        "stopped": counts.stopped,
        "skipped": {"duplicate": counts.duplicate, "over_limit": counts.over_limit},
        "front_size": len(view.front),
        "hypervolume": view.hypervolume,
        "time_left_s": _time_left_s(job, evaluated, budget),
    }


def _time_left_s(job: JobRecord, evaluated: int, budget: int) -> float | None:
    if job.state.is_final:
        return 0.0
    if job.state is not JobState.RUNNING or job.started_at is None or not evaluated:
        return None
    elapsed_s = (datetime.now(UTC) - job.started_at).total_seconds()
    left_s = elapsed_s / evaluated * (budget - evaluated)
    hours = job.document["spec"]["budget"].get("hours")
    if hours is not None:
        left_s = min(left_s, hours * 3600 - elapsed_s)
    return max(0.0, left_s)


def front_of(
    store: Store, job: JobRecord, objectives: list[str] | None = None, constraints: list[str] | None = None
) -> dict[str, Any]:
    """Return the front with its members in full, under the job's own objectives and limits or other ones."""
    view = view_of(store, job, objectives, constraints)
    members = {t.number: t for t in store.trials_numbered(job.id, view.front)}
    return {
        "objectives": [_describe_objective(o) for o in view.objectives],
        "constraints": [_describe_constraint(c) for c in view.constraints],
        "members": [describe_trial(job, members[number], view) for number in view.front],
        "knee": view.knee,
        "hypervolume": view.hypervolume,
        "evaluated": sum(t.state is TrialState.COMPLETE for t in view.trials),
    }


def trials_page(
    store: Store, job: JobRecord, after: int = -1, limit: int = 100, state: TrialState | None = None
) -> dict[str, Any]:
    """Return trials by number, `limit` at a time, and the number to go on after (None at the end)."""
    view = view_of(store, job)
    page = store.trials(job.id, after=after, limit=limit + 1, state=state)
    more = len(page) > limit
    page = page[:limit]
    return {
        "trials": [describe_trial(job, trial, view) for trial in page],
        "next_after": page[-1].number if more else None,
    }


def describe_trial(job: JobRecord, trial: TrialRecord, view: View) -> dict[str, Any]:
    """Return one trial (the Trial of the REST contract) as seen in a view of its job."""
    base = f"/v1/jobs/{job.id}/trials/{trial.number}"
    known = [c for c in view.constraints if c.metric in trial.metrics]
    violations = {c.text: c.violation(trial.metrics) for c in known if c.violation(trial.metrics) > 0}
    complete = trial.state is TrialState.COMPLETE
    return {
        "number": trial.number,
        "state": str(trial.state),
        "skip_reason": str(trial.skip_reason) if trial.skip_reason else None,
        "same_as": trial.same_as,
        "architecture_id": trial.architecture_id,
        "architecture": trial.architecture,
        "metrics": trial.metrics,
        "violations": violations,
        "feasible": not violations,
        "on_front": trial.number in view.front,
        "quality_label": QUALITY_LABEL if complete or trial.state is TrialState.STOPPED else None,
        "duration_s": trial.duration_s,
        "started_at": _text(trial.started_at),
        "finished_at": _text(trial.finished_at),
        "error": trial.error,
        "rungs": (trial.training or {}).get("rungs", []),
        "stop_reason": (trial.training or {}).get("stopped"),
        "has_weights": trial.weights_sha256 is not None,
        "links": {
            "self": base,
            "config_yaml": f"{base}/config?format=yaml" if complete else None,
            "config_json": f"{base}/config?format=json" if complete else None,
            "weights": f"{base}/weights" if trial.weights_sha256 else None,
        },
    }


def _describe_objective(info: MetricInfo) -> dict[str, Any]:
    return {"name": info.name, "label": info.label, "direction": info.direction, "unit": info.unit}


def _describe_constraint(c: Constraint) -> dict[str, Any]:
    return {"text": c.text, "metric": c.metric, "operator": c.operator, "limit": c.limit}


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat().replace("+00:00", "Z")
