"""Reading a job's front: who is really on it, what more of a cost buys, and what should be measured next."""

from __future__ import annotations

from typing import Any

import numpy as np

from nas.jobs.finish_plan import plan_of, planned
from nas.jobs.forecast import forecast_of
from nas.jobs.seed_noise import SeedNoise, seed_noise
from nas.jobs.view import View, view_of
from nas.search.front import Values
from nas.search.job import JobSpec
from nas.search.objectives import MetricInfo
from nas.search.reading import exchange, forgone, membership
from nas.store.records import JobRecord, RetrainingState, TrialState, TrialSummary
from nas.store.store import Store

DEVIATIONS_OF_INTERVAL = 1.645
"""From the middle of a 90 % interval of a normal distribution to its ends."""
CONTENDER = 0.05
"""Trials beside the front that stand on it with at least this probability are told of."""


def reading_of(
    store: Store, job: JobRecord, objectives: list[str] | None = None, constraints: list[str] | None = None
) -> dict[str, Any]:
    """Return the reading of a front (the Reading of the REST contract); raises as `view_of`."""
    view = view_of(store, job, objectives, constraints)
    noise = noise_of_proxy(job, view)
    eligible = _eligible(view)
    values = np.array([[t.metrics[o.name] for o in view.objectives] for t in eligible], dtype=np.float64)
    values = values.reshape(len(eligible), len(view.objectives))
    deviations = np.column_stack([_deviations(o, eligible, noise, job) for o in view.objectives])
    uncertain = [o.name for o, column in zip(view.objectives, deviations.T, strict=True) if column.any()]
    candidates = _candidates(view, eligible, values, deviations) if uncertain else None
    return {
        "noise": None if noise is None else {"deviation": noise.deviation, "degrees": noise.degrees},
        "uncertain": uncertain,
        "candidates": candidates,
        "measure_next": _measure_next(view, eligible, values, deviations, candidates) if candidates else None,
        "exchanges": _exchanges(view, eligible, values),
        "shared": _shared(job, view, eligible),
        "forecast": forecast_of(job, view),
    }


def _eligible(view: View) -> list[TrialSummary]:
    """Return the trials that the front is taken from."""
    return [
        t
        for t in view.trials
        if t.state is TrialState.COMPLETE and all(c.violation(t.metrics) == 0 for c in view.constraints)
    ]


def noise_of_proxy(job: JobRecord, view: View) -> SeedNoise | None:
    """Return the noise between seeds of the search's own scores; None where nothing was trained twice."""
    plan = plan_of(job, view)
    if plan is None:
        return None
    spec = JobSpec.from_document(job.document["spec"])
    complete = [r for r in planned(plan, view).values() if r.state is RetrainingState.COMPLETE]
    last = spec.ladder.steps[-1]
    return next((n for n in seed_noise(complete, spec.task.metric, plan.ladder.steps) if n.steps == last), None)


def _deviations(
    objective: MetricInfo, trials: list[TrialSummary], noise: SeedNoise | None, job: JobRecord
) -> np.ndarray[Any, Any]:
    """Return the standard deviation of each trial's value (N,): between seeds, or by a latency's interval; else 0."""
    if objective.name == job.document["spec"]["task"]["metric"]:
        return np.full(len(trials), noise.deviation if noise else 0.0)
    kind, _, device = objective.name.partition("@")
    if kind != "latency_ms":
        return np.zeros(len(trials))
    ends = [[t.metrics[f"latency_{end}_ms@{device}"] for end in ("lower", "upper")] for t in trials]
    lower, upper = np.array(ends, dtype=np.float64).reshape(-1, 2).T
    return np.asarray((upper - lower) / (2 * DEVIATIONS_OF_INTERVAL), dtype=np.float64)


def _candidates(view: View, eligible: list[TrialSummary], values: Values, deviations: Values) -> list[dict[str, Any]]:
    """Return the members of the front and those that may be, the likeliest first."""
    maximise = [o.direction == "maximize" for o in view.objectives]
    probabilities = membership(values, deviations, maximise)
    told = [
        {"trial": trial.number, "on_front": trial.number in view.front, "probability": float(probability)}
        for trial, probability in zip(eligible, probabilities, strict=True)
        if trial.number in view.front or probability >= CONTENDER
    ]
    return sorted(told, key=lambda each: (-each["probability"], each["trial"]))


def _measure_next(
    view: View,
    eligible: list[TrialSummary],
    values: Values,
    deviations: Values,
    candidates: list[dict[str, Any]],
) -> dict[str, Any] | None:
    """Return the trial whose place is least certain, and which of its figures to measure; None if all is certain.

    Of its uncertain figures that one whose error is largest against the range of the front.
    """
    doubtful = max(candidates, key=lambda each: (min(each["probability"], 1 - each["probability"]), -each["trial"]))
    if not 0 < doubtful["probability"] < 1:
        return None
    row = next(i for i, trial in enumerate(eligible) if trial.number == doubtful["trial"])
    front = values[[i for i, trial in enumerate(eligible) if trial.number in view.front]]
    spread = np.ptp(front, axis=0)
    relative = deviations[row] / np.where(spread > 0, spread, 1.0)
    name = view.objectives[int(np.argmax(relative))].name
    return {"trial": doubtful["trial"], "probability": doubtful["probability"], "metric": name}


def _exchanges(view: View, eligible: list[TrialSummary], values: Values) -> list[dict[str, Any]]:
    """Return what more of each cost among the objectives buys of each quality among them, along the front."""
    rows = [i for i, trial in enumerate(eligible) if trial.number in view.front]
    members = [eligible[i].number for i in rows]

    def described(i: int, j: int) -> dict[str, Any]:
        quality = view.objectives[j]
        steps = exchange(values[rows, i], values[rows, j], maximise=quality.direction == "maximize")
        return {
            "cost": view.objectives[i].name,
            "quality": quality.name,
            "steps": [
                {
                    "from_trial": members[step.start],
                    "to_trial": members[step.end],
                    "more": step.more,
                    "gain": step.gain,
                    "rate": step.rate,
                }
                for step in steps
            ],
        }

    known = [o.known_before_training for o in view.objectives]
    costs, qualities = ([i for i, cost in enumerate(known) if cost is which] for which in (True, False))
    return [described(i, j) for i in costs for j in qualities]


def _shared(job: JobRecord, view: View, eligible: list[TrialSummary]) -> list[dict[str, Any]] | None:
    """Return what each member loses of its quality on each device against one made for that device alone.

    None for a job on fewer than two devices, or a front without a quality.
    """
    devices: list[str] = job.document["spec"]["devices"]
    quality = next((o for o in view.objectives if not o.known_before_training), None)
    if len(devices) < 2 or quality is None:
        return None
    latencies = np.array([[t.metrics[f"latency_ms@{device}"] for device in devices] for t in eligible])
    values = np.array([t.metrics[quality.name] for t in eligible], dtype=np.float64)
    losses, instead = forgone(
        latencies.reshape(len(eligible), len(devices)), values, maximise=quality.direction == "maximize"
    )
    return [
        {
            "trial": trial.number,
            "losses": [
                {"device": device, "loss": float(losses[row, i]), "instead": eligible[instead[row, i]].number}
                for i, device in enumerate(devices)
            ],
        }
        for row, trial in enumerate(eligible)
        if trial.number in view.front
    ]
