"""Which choices of a job's space matter, for each of its objectives."""

from __future__ import annotations

from typing import Any

import numpy as np

from nas.architecture import Architecture
from nas.jobs.context import JobContext
from nas.jobs.view import View, view_of
from nas.search.cost_aware import Rows, SpaceCandidates
from nas.search.cost_aware.gaussian_process import GaussianProcess, fit, standards
from nas.search.importance import explained
from nas.store.records import JobRecord, TrialState
from nas.store.store import Store

SAMPLED = 4_000
LEAST_WITHIN = 100
"""Fewer candidates that keep the limits say nothing of a choice."""
LEAST_TRIALS = 10
"""Fewer evaluations say nothing of the quality."""
MOST_TRIALS = 256
"""Of more, those of the highest numbers are learnt from, as many as the sampler would: a fit takes memory in proportion
to their square times the choices, and time to their cube."""


def importance_of(store: Store, job: JobRecord) -> dict[str, Any]:
    """Return the importance of every choice for every objective of a job (the Importance of the REST contract).

    It is told over candidates of the space that keep the limits on known costs, every frame and depth equally likely.
    Costs are exact; what only training tells is what a model of the job's evaluations expects of each. Takes seconds:
    every sub-block of the space is counted.
    """
    context, view = JobContext.load(store, job.document), view_of(store, job)
    source = SpaceCandidates(context.space, context.objectives, context.constraints, context.known_metrics())
    rows = source.spread(SAMPLED, np.random.default_rng(context.spec.seed))
    rows = rows[source.violation(rows) == 0]
    enough = len(rows) >= LEAST_WITHIN
    features, known = source.features(rows), source.known(rows)
    told = []
    for index, objective in enumerate(context.objectives):
        model, values = None, None
        if objective.known_before_training:
            values = known[:, source.known_objectives.index(index)]
        elif (learnt := _model_of(store, job, view, source, objective.name)) is not None:
            process, model = learnt
            values = process.predict(features)[0]
        shares = None
        if enough and values is not None:
            found = {
                choice: explained(features[:, columns], values) for choice, columns in source.features_by_choice.items()
            }
            shares = [{"choice": choice, "share": found[choice]} for choice in sorted(found, key=lambda c: -found[c])]
        told.append({"objective": objective.name, "model": model, "choices": shares})
    return {"sampled": SAMPLED, "within_limits": len(rows), "objectives": told}


def _model_of(
    store: Store, job: JobRecord, view: View, source: SpaceCandidates, metric: str
) -> tuple[GaussianProcess, dict[str, Any]] | None:
    """Return a model of a quality and how good it is; None where too little was evaluated."""
    trials = [t for t in view.trials if t.state is TrialState.COMPLETE and np.isfinite(t.metrics.get(metric, np.nan))]
    trials = trials[-MOST_TRIALS:]
    values = np.array([t.metrics[metric] for t in trials])
    if len(trials) < LEAST_TRIALS or np.ptp(values) == 0:
        return None
    x = source.features(_rows_of(store, job, source, [t.number for t in trials]))
    mean, std = standards(values)
    process = GaussianProcess(x, values, source.feature_groups, fit(x, (values - mean) / std, source.feature_groups))
    left = values - process.left_out()
    explains = 1.0 - float(left @ left) / float((values - mean) @ (values - mean))
    return process, {"trials": len(trials), "explains": max(0.0, explains)}


def _rows_of(store: Store, job: JobRecord, source: SpaceCandidates, numbers: list[int]) -> Rows:
    records = {trial.number: trial.architecture for trial in store.trials_numbered(job.id, set(numbers))}
    return source.rows_of([Architecture.from_dict(records[number]) for number in numbers])
