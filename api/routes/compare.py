"""Jobs, and architectures, side by side."""

from __future__ import annotations

import re
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query

from api.inputs import refuse_unknown_query
from api.schemas.compare import JobComparison, TrialComparison
from api.schemas.problem import documented
from api.services import StoreDep
from nas.errors import InvalidInput
from nas.jobs.comparing import FEWEST, MOST, compare_jobs
from nas.jobs.side_by_side import compare_trials

router = APIRouter(prefix="/v1/compare", tags=["trials"], dependencies=[Depends(refuse_unknown_query)])

_TRIAL = r"^[^:]{1,200}:[0-9]{1,9}$"


@router.get("/jobs", response_model=JobComparison, responses=documented(404, 422))
def compare_fronts(
    store: StoreDep,
    job: Annotated[list[str], Query(description=f"The id of a job; repeat it, for {FEWEST} to {MOST} jobs.")],
    objectives: Annotated[
        str | None, Query(description="Metrics that all of them have, separated by commas; without it the first job's.")
    ] = None,
) -> dict[str, Any]:
    """Return the fronts of jobs under common objectives, with hypervolumes under a common reference.

    Says what keeps their numbers from being compared: another dataset, workload, training or latency table.
    """
    names = [name.strip() for name in objectives.split(",")] if objectives is not None else None
    return compare_jobs(store, job, names)


@router.get("/trials", response_model=TrialComparison, responses=documented(404, 422))
def compare_architectures(
    store: StoreDep,
    trial: Annotated[list[str], Query(description="A trial as `JOB:NUMBER`; repeat it, for two.")],
) -> dict[str, Any]:
    """Return two architectures side by side: every metric with its ratio, and every choice that differs."""
    return compare_trials(store, [_named(text) for text in trial])


def _named(text: str) -> tuple[str, int]:
    if not re.match(_TRIAL, text):
        raise InvalidInput.of("trial", text, "`JOB:NUMBER`", "name a job's id and the number of one of its trials")
    job, _, number = text.rpartition(":")
    return job, int(number)
