"""Answers about jobs."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from api.schemas.documents import JobDocument
from api.schemas.problem import Answer


class Objective(Answer):
    """A metric that the job makes as good as it can."""

    name: str
    label: str
    direction: Literal["minimize", "maximize"]
    unit: str
    label_of_quality: Literal["proxy"] | None = Field(
        description="Of a quality: after which training the trials' figures of it are; null for a cost."
    )


class Limit(Answer):
    """A limit that feasible trials keep."""

    text: str
    metric: str
    operator: Literal["<=", ">="]
    limit: float


class WorkloadAnswer(Answer):
    """What one inference is."""

    batch: int
    input_length: int
    output_length: int


class PlateauAnswer(Answer):
    """When the hypervolume counts as grown no more."""

    evaluations: int
    gain: float = Field(description="What so many have to add, as a share of the hypervolume that there is then.")


class BudgetAnswer(Answer):
    """When the job ends."""

    trials: int
    hours: float | None
    plateau: PlateauAnswer | None


class Skipped(Answer):
    """Candidates that were recorded and never trained."""

    duplicate: int
    over_limit: int


class FinishProgress(Answer):
    """How far the trainings in full are."""

    steps: int
    trainings: int
    complete: int
    running: int
    failed: int


class SearchEnd(Answer):
    """How the search of a job ended."""

    state: Literal["succeeded", "failed", "cancelled"]
    reason: str | None


class FinishAnswer(Answer):
    """What is trained in full."""

    steps: int | None = None
    seeds: int
    members: int
    sample: int


class Progress(Answer):
    """How far a job has come."""

    evaluated: int
    budget: int
    running: int
    failed: int
    stopped: int = Field(description="Scored after a shorter training than others of their cohort, and left there.")
    recalled: int = Field(description="Evaluations saved: their scores were known from earlier jobs.")
    skipped: Skipped
    front_size: int
    hypervolume: float | None = Field(
        description="0 to 1, between the job's reference point and its ideal; null before the first trial."
    )
    time_left_s: float | None
    finish: FinishProgress | None = Field(description="Null where nobody asked for trainings in full.")


class Reference(Answer):
    """What the hypervolume is measured between."""

    point: dict[str, float]
    ideal: dict[str, float]


class JobLinks(Answer):
    """Addresses of what belongs to a job."""

    self: str
    front: str
    trials: str
    events: str
    fidelity: str
    page: str = Field(description="The dashboard's page.")


class JobSummary(Answer):
    """A job and how far it has come."""

    id: str
    name: str
    state: Literal["queued", "running", "paused", "succeeded", "failed", "cancelled"]
    reason: str | None = Field(description="Why it ended: budget spent, space exhausted, cancelled, or an error.")
    priority: int = Field(description="Of the jobs that wait, one of the highest priority is taken first.")
    submitted_by: str | None = Field(description="The id of the key; null where nobody had to log in.")
    cancel_requested: bool = Field(description="Its worker was asked to end it.")
    pause_requested: bool = Field(description="Its worker was asked to pause it.")
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    search_space: str
    dataset: str
    sampler: str
    seed: int
    devices: list[str]
    workload: WorkloadAnswer
    objectives: list[Objective]
    constraints: list[Limit]
    budget: BudgetAnswer
    progress: Progress
    reference: Reference | None
    search_ended: SearchEnd | None = Field(description="Null while the search goes on.")
    finish: FinishAnswer | None = Field(description="Null where nobody asked for trainings in full.")
    document: JobDocument
    links: JobLinks


class JobPage(Answer):
    """Jobs, newest first."""

    jobs: list[JobSummary]
    next_cursor: str | None = Field(description="Give it as `cursor` for the next page; null at the end.")
