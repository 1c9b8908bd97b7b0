"""What is known of a candidate's quality, each figure with its label: proxy, trained or tested."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from typing import Any

from nas.jobs.context import job_metrics, quality_metrics
from nas.search.job import JobSpec
from nas.store.records import JobRecord, RetrainingRecord, RetrainingState, TrialState, TrialSummary

PROXY, TRAINED, TESTED = "proxy", "trained", "tested"


def in_full(trial: int, retrainings: Iterable[RetrainingRecord]) -> list[RetrainingRecord]:
    """Return the complete trainings of a trial's architecture with the most steps, by seed."""
    complete = [r for r in retrainings if r.key.trial == trial and r.state is RetrainingState.COMPLETE]
    most = max((r.key.steps for r in complete), default=0)
    return sorted((r for r in complete if r.key.steps == most), key=lambda r: r.key.seed)


def best_of(job: JobRecord, trial: int, retrainings: Iterable[RetrainingRecord]) -> RetrainingRecord | None:
    """Return the training in full whose weights are delivered: of all seeds, the best on validation."""
    every = in_full(trial, retrainings)
    if not every:  # most trials, on pages of many: nothing is parsed for them
        return None
    spec = JobSpec.from_document(job.document["spec"])
    name = spec.task.metric
    sign = -1 if job_metrics(spec, job.document)[name].direction == "maximize" else 1
    return min(every, key=lambda r: sign * r.scores[-1]["metrics"][name])


def qualities(job: JobRecord, trial: TrialSummary, retrainings: Iterable[RetrainingRecord]) -> list[dict[str, Any]]:
    """Return every figure of a trial's quality (the Quality of the REST contract): of the search, and of full training.

    Of several seeds it is the mean, with the standard deviation between them (of the sample, n − 1).
    """
    if trial.state not in (TrialState.COMPLETE, TrialState.STOPPED):
        return []
    names = quality_metrics(job.document)
    steps = job.document["spec"]["task"]["training"]["steps"] if trial.state is TrialState.COMPLETE else None
    found = [_quality(PROXY, "validation", steps, [trial.metrics], names)]
    every = in_full(trial.number, retrainings)
    if every:
        scores = [record.scores[-1]["metrics"] for record in every]
        tests = [record.test_metrics for record in every if record.test_metrics is not None]
        found.append(_quality(TRAINED, "validation", every[0].key.steps, scores, names))
        if tests:
            found.append(_quality(TESTED, "test", every[0].key.steps, tests, names))
    return found


def _quality(
    label: str, split: str, steps: int | None, metrics: Sequence[dict[str, float]], names: Sequence[str]
) -> dict[str, Any]:
    known = [name for name in names if all(name in each for each in metrics)]
    return {
        "label": label,
        "split": split,
        "steps": steps,
        "seeds": len(metrics),
        "metrics": {name: statistics.fmean(each[name] for each in metrics) for name in known},
        "deviations": {name: statistics.stdev(each[name] for each in metrics) for name in known}
        if len(metrics) > 1
        else None,
    }
