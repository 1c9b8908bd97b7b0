"""The plan of finishing a job: which trainings in full, in which order, and how far they are.

It follows from the job's trials, which no longer change then, and from what was asked: a worker that takes over from
a killed one finds the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from nas.documents import validate
from nas.jobs.view import View
from nas.search.finish import Finish, Subject, subjects
from nas.search.job import JobSpec
from nas.search.promotion import Ladder
from nas.store.records import JobRecord, RetrainingKey, RetrainingRecord, RetrainingState, TrialState


@dataclass(frozen=True)
class FinishPlan:
    """What is trained in full."""

    subjects: tuple[Subject, ...]
    ladder: Ladder
    """The rungs that each is scored on; the last is the end."""
    keys: tuple[RetrainingKey, ...]
    """In order: everybody once, then the second seeds, and so on."""

    @property
    def steps(self) -> int:
        """Of a training in full."""
        return self.ladder.steps[-1]

    def with_role(self, role: str) -> tuple[int, ...]:
        """Return the numbers of the trials that are trained for this reason."""
        return tuple(subject.trial for subject in self.subjects if role in subject.roles)


def plan_of(job: JobRecord, view: View) -> FinishPlan | None:
    """Return the plan of a job that is to be finished, from the view under its own objectives; else None."""
    if job.finish is None:
        return None
    spec, finish = JobSpec.from_document(job.document["spec"]), validate(Finish, job.finish)
    scored = {
        trial.number: trial.metrics["parameters"]
        for trial in view.trials
        if trial.state in (TrialState.COMPLETE, TrialState.STOPPED)
    }
    chosen = subjects(view.front, view.knee, scored, finish, spec.seed)
    ladder = spec.finish_ladder(finish)
    keys = tuple(
        RetrainingKey(subject.trial, ladder.steps[-1], spec.seed + index)
        for index in range(finish.seeds)
        for subject in chosen
        if index < subject.seeds
    )
    return FinishPlan(chosen, ladder, keys)


def planned(plan: FinishPlan, view: View) -> dict[RetrainingKey, RetrainingRecord]:
    """Return what there is of a plan's trainings."""
    wanted = set(plan.keys)
    return {record.key: record for record in view.retrainings if record.key in wanted}


def finish_progress(job: JobRecord, view: View) -> dict[str, Any] | None:
    """Return how far the finishing of a job is, counted in trainings; None where nobody asked for it."""
    plan = plan_of(job, view)
    if plan is None:
        return None
    states = [record.state for record in planned(plan, view).values()]
    return {
        "steps": plan.steps,
        "trainings": len(plan.keys),
        "complete": states.count(RetrainingState.COMPLETE),
        "running": states.count(RetrainingState.RUNNING),
        "failed": states.count(RetrainingState.FAILED),
    }
