"""Memory between jobs: the score of an architecture that an earlier job trained in the same way is not trained again.

In the same way means: the same data (its SHA-256), batch size, learning rate, lengths and warm-up, scored after the
same steps, on hardware of the same kind. Seeds may differ, since they are noise: a score under the job's own seed comes
first, then the oldest. Scores by an evaluator of a person's own are trained anew, because its code may have changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from nas.architecture import Architecture
from nas.errors import NotFound
from nas.jobs.context import quality_metrics
from nas.quality.hardware import Hardware
from nas.search.evaluation import Evaluation
from nas.search.job import JobSpec
from nas.search.promotion import Ladder
from nas.store.records import JobRecord, TrialRecord
from nas.store.store import Store

NOT_THE_SCORES = ("rungs", "stopped", "recalled")
"""What a trial's `training` says of more than the score that stands in it."""


@dataclass(frozen=True)
class _Way:
    """How a job trains, as far as its scores depend on it."""

    dataset_sha256: str
    batch_size: int
    learning_rate: float
    lengths: tuple[int, int]
    first_rung: int

    @classmethod
    def of(cls, job: JobRecord, spec: JobSpec) -> _Way:
        plan, work = spec.task.training, spec.workload
        return cls(
            job.document["dataset"]["sha256"],
            plan.batch_size,
            plan.learning_rate,
            (work.input_length, work.output_length),
            spec.ladder.steps[0],
        )


class Memory:
    """What the jobs of a store know of the scores that one of them is going to ask for."""

    def __init__(self, store: Store, job: JobRecord, spec: JobSpec) -> None:
        self._store, self._job, self._spec = store, job, spec
        self._way, self._ladder = _Way.of(job, spec), spec.ladder
        self._hardware = Hardware.here().name
        self._specs: dict[str, JobSpec | None] = {}  # of other jobs; None of those that train in another way

    def recall(self, architecture: Architecture, rung: int) -> Evaluation | None:
        """Return what evaluating an architecture up to a rung gave before; None where nobody knows."""
        if not self._spec.memory or self._spec.task.evaluator is not None:
            return None
        found = []
        for trial in self._store.scored_trials_of(architecture.id):
            with suppress(NotFound):  # its job is being deleted
                spec = self._spec_of(trial.job_id)
                if spec is not None and (evaluation := self._score_of(trial, spec, rung)):
                    found.append((spec.seed != self._spec.seed, trial.started_at, trial.number, evaluation))
        return min(found, key=lambda each: each[:3])[3] if found else None

    def _spec_of(self, job_id: str) -> JobSpec | None:
        """Return how another job was asked for, if it trains as this one does."""
        if job_id == self._job.id:
            return None
        if job_id not in self._specs:
            job = self._store.job(job_id)
            spec = JobSpec.from_document(job.document["spec"])
            alike = spec.task.evaluator is None and _Way.of(job, spec) == self._way
            self._specs[job_id] = spec if alike else None
        return self._specs[job_id]

    def _score_of(self, trial: TrialRecord, spec: JobSpec, rung: int) -> Evaluation | None:
        """Return a trial's score after the steps of this job's rung, if it has it and what has to be kept with it."""
        training, steps = trial.training or {}, self._ladder.steps[rung]
        if training.get("hardware") != self._hardware:
            return None
        metrics = _scores(training, trial.metrics, spec.ladder).get(steps)
        is_newest = training.get("steps") == steps
        last = rung == self._ladder.last
        if metrics is None or (last and not (is_newest and trial.weights_sha256)):
            return None
        kept = {name: value for name, value in training.items() if name not in NOT_THE_SCORES} if is_newest else {}
        source = training.get("recalled") or {"job": trial.job_id, "trial": trial.number, "seed": spec.seed}
        return Evaluation(
            {name: metrics[name] for name in quality_metrics(self._job.document)},
            {
                "label": "proxy",
                "software": training.get("software"),
                "hardware": training["hardware"],
                "history": [],
                **kept,
                "steps": steps,
                "steps_taken": 0,
                "cpu_s": 0.0,
                "recalled": source,
            },
            self._store.artifact(trial.weights_sha256) if last and trial.weights_sha256 else None,
            None,
            0.0,
        )


def _scores(
    training: Mapping[str, Any], metrics: Mapping[str, float], ladder: Ladder
) -> dict[int, Mapping[str, float]]:
    """Return all metrics of a scored trial by the steps that they were taken after."""
    if ladder.last:
        return {int(rung["steps"]): rung["metrics"] for rung in training.get("rungs", [])}
    return {ladder.steps[0]: metrics}
