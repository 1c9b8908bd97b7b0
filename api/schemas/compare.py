"""Answers about jobs and architectures side by side."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from api.schemas.job import Objective
from api.schemas.problem import Answer
from api.schemas.trial import Trial


class ReferenceEnd(Answer):
    """Between which values hypervolume is measured in one objective."""

    objective: str
    point: float
    ideal: float
    source: Literal["jobs", "members"] = Field(
        description="`jobs`: the widest of the jobs' own references; `members`: from the best member of the fronts to "
        "a tenth of their range beyond the worst, where a job has no reference for the objective."
    )


class Difference(Answer):
    """Something that the jobs do not share."""

    field: str
    values: list[str] = Field(description="Of each job, in the order that they were named.")
    not_comparable: list[Literal["scores", "latencies", "MACs and memory"]] = Field(
        description="Which of the numbers asked for mean something else because of it; empty where none do."
    )


class ComparedMember(Answer):
    """A member of a job's front."""

    number: int
    architecture_id: str
    metrics: dict[str, int | float] = Field(description="Those that all of the jobs have.")
    on_joint_front: bool | None = Field(
        description="Whether no member of any of the fronts dominates it; null where the jobs are not comparable."
    )


class ComparedJob(Answer):
    """A job's front under the common objectives and its own limits."""

    id: str
    name: str
    state: Literal["queued", "running", "paused", "succeeded", "failed", "cancelled"]
    page: str = Field(description="The dashboard's page.")
    limits: list[str]
    evaluated: int
    hypervolume: float | None = Field(description="0 to 1, under the common reference; null of an empty front.")
    on_joint_front: int | None = Field(description="How many of its front are on that of all the jobs together.")
    front: list[ComparedMember]


class JobComparison(Answer):
    """Jobs side by side."""

    comparable: bool = Field(description="Whether nothing in `differences` keeps the objectives from being compared.")
    metrics: list[Objective] = Field(description="What may be an objective: the metrics that all of the jobs have.")
    objectives: list[Objective]
    reference: list[ReferenceEnd] = Field(description="By objective; without entries where all fronts are empty.")
    jobs: list[ComparedJob]
    differences: list[Difference]


class ComparedTrial(Answer):
    """One of two trials."""

    job: str
    job_name: str
    page: str
    trial: Trial


class ComparedFigure(Answer):
    """A metric of both trials."""

    name: str
    label: str
    unit: str
    direction: Literal["minimize", "maximize"]
    label_of_quality: Literal["proxy"] | None
    values: list[int | float | None]
    ratio: float | None = Field(description="The second over the first; null where one is missing, or the first is 0.")
    comparable: bool = Field(description="False where one is missing, or the jobs keep them from being compared.")
    better: Literal[0, 1] | None = Field(description="Which is better; null where they are equal or not comparable.")


class Change(Answer):
    """A choice in which the two architectures differ."""

    part: str = Field(examples=["model", "encoder", "encoder layer 2"])
    choice: str
    values: list[str | None] = Field(description="Null where the part or the choice is not there.")


class TrialComparison(Answer):
    """Two architectures side by side."""

    trials: list[ComparedTrial]
    metrics: list[ComparedFigure]
    changes: list[Change] = Field(description="From the input to the output; empty where they are the same.")
    differences: list[Difference] = Field(description="Of the jobs that they are from.")
