"""Assignments: what an evaluation process is told, from a job's context."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nas.jobs.context import JobContext
from nas.jobs.evaluation import Assignment
from nas.search.promotion import Ladder


def assignment_of(
    context: JobContext,
    architecture: Mapping[str, Any],
    ladder: Ladder,
    rung: int,
    *,
    seed: int | None = None,
    in_full: bool = False,
) -> Assignment:
    """Return the assignment to train an architecture, given as its dict, up to a rung and to score it there.

    `seed` is the job's unless it is given; `in_full` says that the training belongs to no search any more.
    """
    spec = context.spec
    return Assignment(
        dict(architecture),
        context.dataset,
        context.dataset_sha256,
        spec.task.training.model_dump(mode="json"),
        spec.workload.model_dump(mode="json"),
        spec.seed if seed is None else seed,
        first_rung=ladder.steps[0],
        steps=ladder.steps[rung],
        goes_on=rung < ladder.last,
        in_full=in_full,
        evaluator=None if spec.task.evaluator is None else spec.task.evaluator.model_dump(mode="json"),
    )
