"""Jobs side by side: their fronts under common objectives, and what keeps their numbers from being compared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from nas.errors import InvalidInput, NotFound
from nas.jobs.context import job_metrics
from nas.jobs.differences import differences_between
from nas.jobs.view import view_of
from nas.search.front import Values, front_rows, hypervolume
from nas.search.job import JobSpec
from nas.search.objectives import MetricInfo, known_metric
from nas.store.records import JobRecord
from nas.store.store import Store

FEWEST, MOST = 2, 6
MOST_OBJECTIVES = 4
_BEYOND = 0.1
"""How far beyond the worst member the reference point lies where the jobs name none, as a share of the range."""


def compare_jobs(store: Store, ids: Sequence[str], objectives: Sequence[str] | None = None) -> dict[str, Any]:
    """Return the fronts of some jobs under objectives that all of them have, each under its own limits.

    Who is on the joint front is told where the jobs' numbers can be compared. Without `objectives` those of the first
    job are taken that the others have too.

    Raises `NotFound` for an unknown job, `InvalidInput` for too few or too many, or where an objective is not common.
    """
    if len(set(ids)) != len(ids) or not FEWEST <= len(ids) <= MOST:
        allowed = f"{FEWEST} to {MOST} different jobs"
        raise InvalidInput.of("job", ", ".join(ids), allowed, "name each once, as `job=A&job=B`")
    jobs = [store.job(job_id) for job_id in ids]
    common = common_metrics(jobs)
    chosen = _objectives(jobs, common, objectives)
    views = [view_of(store, job, [o.name for o in chosen]) for job in jobs]
    members = [store.trials_numbered(job.id, view.front) for job, view in zip(jobs, views, strict=True)]
    for job, view, trials in zip(jobs, views, members, strict=True):
        if len(trials) < len(view.front):
            raise NotFound(f"The job {job.id} was deleted.")
    values = [
        np.array([[t.metrics[o.name] for o in chosen] for t in trials], dtype=np.float64).reshape(-1, len(chosen))
        for trials in members
    ]
    maximise = [o.direction == "maximize" for o in chosen]
    reference = _reference(jobs, chosen, np.concatenate(values))
    differences = differences_between(store, jobs, [o.name for o in chosen])
    comparable = not any(difference["not_comparable"] for difference in differences)
    joint: list[list[bool | None]] = [[None] * len(own) for own in values]
    if comparable:
        joint = _joint(values, maximise)
    return {
        "comparable": comparable,
        "metrics": [_described(info) for info in common.values()],
        "objectives": [_described(info) for info in chosen],
        "reference": reference,
        "jobs": [
            {
                "id": job.id,
                "name": job.name,
                "state": str(job.state),
                "page": f"/jobs/{job.id}",
                "limits": [c.text for c in view.constraints],
                "evaluated": view.evaluated,
                "hypervolume": _volume(own, maximise, chosen, reference),
                "on_joint_front": sum(map(bool, flags)) if comparable else None,
                "front": [
                    {
                        "number": trial.number,
                        "architecture_id": trial.architecture_id,
                        "metrics": {name: trial.metrics[name] for name in common if name in trial.metrics},
                        "on_joint_front": flag,
                    }
                    for trial, flag in zip(trials, flags, strict=True)
                ],
            }
            for job, view, trials, own, flags in zip(jobs, views, members, values, joint, strict=True)
        ],
        "differences": differences,
    }


def common_metrics(jobs: Sequence[JobRecord]) -> dict[str, MetricInfo]:
    """Return the metrics that the trials of all the jobs have, in the same direction; bounds of latencies left out."""
    each = [job_metrics(JobSpec.from_document(job.document["spec"]), job.document) for job in jobs]
    return {
        name: info
        for name, info in each[0].items()
        if not name.startswith(("latency_lower_ms@", "latency_upper_ms@"))
        and all(name in other and other[name].direction == info.direction for other in each[1:])
    }


def _objectives(
    jobs: Sequence[JobRecord], common: dict[str, MetricInfo], given: Sequence[str] | None
) -> tuple[MetricInfo, ...]:
    if given is None:
        asked = JobSpec.from_document(jobs[0].document["spec"]).objectives
        names = [name for name in asked if name in common]
        # Two make a front: where the jobs share fewer, costs that every model has
        names += [name for name in ("parameters", "macs") if name not in names][: max(0, 2 - len(names))]
        given = names
    if len(set(given)) != len(given) or not 1 <= len(given) <= MOST_OBJECTIVES:
        raise InvalidInput.of(
            "objectives", ", ".join(given), f"1 to {MOST_OBJECTIVES} different metrics", "separate them by commas"
        )
    return tuple(known_metric(name, f"objectives[{index}]", common) for index, name in enumerate(given))


def _described(info: MetricInfo) -> dict[str, Any]:
    return {
        "name": info.name,
        "label": info.label,
        "direction": info.direction,
        "unit": info.unit,
        "label_of_quality": None if info.known_before_training else "proxy",
    }


def _reference(jobs: Sequence[JobRecord], objectives: Sequence[MetricInfo], members: Values) -> list[dict[str, Any]]:
    """Return, by objective, between which values hypervolume is measured: of the jobs' own the widest.

    Where a job has none for an objective, from the best member to somewhat beyond
    the worst one.
    """
    result = []
    for column, objective in enumerate(objectives):
        own = [job.reference for job in jobs]
        worst, best = (max, min) if objective.direction == "minimize" else (min, max)
        if all(r is not None and objective.name in r["point"] for r in own):
            point = worst(r["point"][objective.name] for r in own if r is not None)
            ideal = best(r["ideal"][objective.name] for r in own if r is not None)
            source = "jobs"
        else:
            found = members[:, column][np.isfinite(members[:, column])]
            if not len(found):
                continue
            ideal, point = best(map(float, found)), worst(map(float, found))
            away = 1.0 if objective.direction == "minimize" else -1.0
            point += _BEYOND * ((point - ideal) or away * (abs(point) or 1.0))
            source = "members"
        result.append({"objective": objective.name, "point": point, "ideal": ideal, "source": source})
    return result


def _volume(
    values: Values, maximise: Sequence[bool], objectives: Sequence[MetricInfo], reference: Sequence[dict[str, Any]]
) -> float | None:
    if not len(values) or len(reference) < len(objectives):
        return None
    return hypervolume(values, maximise, [r["point"] for r in reference], [r["ideal"] for r in reference])


def _joint(values: Sequence[Values], maximise: Sequence[bool]) -> list[list[bool | None]]:
    """Return of each job's members whether no member of any of the jobs dominates them."""
    on = set(front_rows(np.concatenate(values), maximise))
    flags: list[list[bool | None]] = []
    start = 0
    for own in values:
        flags.append([start + row in on for row in range(len(own))])
        start += len(own)
    return flags
