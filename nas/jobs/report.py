"""What is told of a job: its summary, its trials, its front. Doors translate these; they compute nothing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from nas.errors import InvalidInput, NotFound
from nas.jobs.finish_plan import finish_progress
from nas.jobs.other_devices import other_devices, with_predictions
from nas.jobs.trained import PROXY, best_of, qualities
from nas.jobs.view import View, view_of
from nas.search.job import JobSpec
from nas.search.objectives import Constraint, MetricInfo
from nas.store.records import JobRecord, JobState, TrialRecord, TrialState
from nas.store.store import Store

MOST_AT_ONCE = 1000


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
        "priority": job.priority,
        "submitted_by": job.submitted_by,
        "cancel_requested": job.cancel_requested,
        "pause_requested": job.pause_requested,
        "created_at": _text(job.created_at),
        "started_at": _text(job.started_at),
        "finished_at": _text(job.finished_at),
        "search_space": job.document["search_space"]["name"],
        "dataset": job.document["dataset"]["name"],
        "sampler": spec.sampler,
        "seed": spec.seed,
        "devices": list(spec.devices),
        "workload": spec.workload.model_dump(mode="json"),
        "objectives": [describe_objective(o) for o in view.objectives],
        "constraints": [describe_constraint(c) for c in view.constraints],
        "budget": spec.budget.model_dump(mode="json"),
        "progress": progress_of(store, job, view),
        "reference": job.reference,
        "search_ended": job.search_ended,
        "finish": job.finish,
        "document": job.document["spec"],
        "links": {
            "self": base,
            "front": f"{base}/front",
            "trials": f"{base}/trials",
            "events": f"{base}/events",
            "fidelity": f"{base}/fidelity",
            "page": f"/jobs/{job.id}",
        },
    }


def progress_of(store: Store, job: JobRecord, view: View | None = None) -> dict[str, Any]:
    """Return how far a job is: counts, front, hypervolume, and the time left in seconds if it can be told."""
    view = view or view_of(store, job)
    counts = store.counts(job.id)
    budget = int(job.document["spec"]["budget"]["trials"])
    return {
        "evaluated": counts.evaluated,
        "budget": budget,
        "running": counts.running,
        "failed": counts.failed,
        "stopped": counts.stopped,
        "recalled": store.recalled_count(job.id),
        "skipped": {"duplicate": counts.duplicate, "over_limit": counts.over_limit},
        "front_size": len(view.front),
        "hypervolume": view.hypervolume,
        "time_left_s": _time_left_s(job, counts.evaluated, budget),
        "finish": finish_progress(job, view),
    }


def _time_left_s(job: JobRecord, evaluated: int, budget: int) -> float | None:
    if job.state.is_final:
        return 0.0
    searching = job.state is JobState.RUNNING and job.search_ended is None
    if not searching or job.started_at is None or not evaluated:
        return None
    elapsed_s = (datetime.now(UTC) - job.started_at).total_seconds() - job.idle_s
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
    elsewhere = other_devices(job, [*(o.name for o in view.objectives), *(c.metric for c in view.constraints)])
    found = with_predictions(store, job, store.trials_numbered(job.id, view.front), elsewhere)
    members = {t.number: t for t in found}
    if len(members) < len(view.front):
        raise NotFound(f"The job {job.id} was deleted.")
    return {
        "objectives": [describe_objective(o) for o in view.objectives],
        "constraints": [describe_constraint(c) for c in view.constraints],
        "members": [describe_trial(job, members[number], view) for number in view.front],
        "knee": view.knee,
        "hypervolume": view.hypervolume,
        "evaluated": view.evaluated,
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


def some_trials(store: Store, job: JobRecord, numbers: Sequence[int]) -> dict[str, Any]:
    """Return the trials of these numbers by number, absent ones left out, as a page that is the last one."""
    if len(numbers) > MOST_AT_ONCE:
        raise InvalidInput.of("numbers", len(numbers), f"at most {MOST_AT_ONCE}", "ask in several requests")
    view = view_of(store, job)
    found = store.trials_numbered(job.id, numbers)
    return {"trials": [describe_trial(job, trial, view) for trial in found], "next_after": None}


def describe_trial(job: JobRecord, trial: TrialRecord, view: View) -> dict[str, Any]:
    """Return one trial (the Trial of the REST contract) as seen in a view of its job."""
    base = f"/v1/jobs/{job.id}/trials/{trial.number}"
    known = [c for c in view.constraints if c.metric in trial.metrics]
    violations = {c.text: c.violation(trial.metrics) for c in known if c.violation(trial.metrics) > 0}
    complete = trial.state is TrialState.COMPLETE
    trained = best_of(job, trial.number, view.retrainings)
    has_config, has_weights = complete or trained is not None, bool(trial.weights_sha256 or trained)
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
        "quality_label": PROXY if complete or trial.state is TrialState.STOPPED else None,
        "qualities": qualities(job, trial, view.retrainings),
        "duration_s": trial.duration_s,
        "started_at": _text(trial.started_at),
        "finished_at": _text(trial.finished_at),
        "error": trial.error,
        "rungs": (trial.training or {}).get("rungs", []),
        "recalled": (trial.training or {}).get("recalled"),
        "why": trial.sampler.get("why"),
        "stop_reason": (trial.training or {}).get("stopped"),
        "has_weights": has_weights,
        "links": {
            "self": base,
            "config_yaml": f"{base}/config?format=yaml" if has_config else None,
            "config_json": f"{base}/config?format=json" if has_config else None,
            "weights": f"{base}/weights" if has_weights else None,
            "bundle": f"{base}/bundle" if has_config and has_weights else None,
        },
    }


def describe_objective(info: MetricInfo) -> dict[str, Any]:
    """Return what an objective is called (the Objective of the REST contract)."""
    return {
        "name": info.name,
        "label": info.label,
        "direction": info.direction,
        "unit": info.unit,
        "label_of_quality": None if info.known_before_training else PROXY,
    }


def describe_constraint(c: Constraint) -> dict[str, Any]:
    """Return a limit in its parts (the Limit of the REST contract)."""
    return {"text": c.text, "metric": c.metric, "operator": c.operator, "limit": c.limit}


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat().replace("+00:00", "Z")
