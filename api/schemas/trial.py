"""Answers about trials and the front."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from api.schemas.documents import ArchitectureDocument
from api.schemas.job import Limit, Objective, Progress
from api.schemas.problem import Answer


class BundleProgress(Answer):
    """How far a bundle is that is being made."""

    what: str = Field(
        description="What is done now: waiting, reading, programs, scoring, writing, or the latency of a device.",
        examples=["programs"],
    )
    done: int
    total: int = Field(description="Steps of what is done now.")


class TrialLinks(Answer):
    """Addresses of what belongs to a trial."""

    self: str
    config_yaml: str | None = Field(description="Null unless the trial is complete, as for JSON.")
    config_json: str | None
    weights: str | None = Field(description="Null where there are none.")
    bundle: str | None = Field(description="Null where there are no weights.")


class Recalled(Answer):
    """Where a score is from that was not trained again: the trial of an earlier job."""

    job: str
    trial: int
    seed: int


class Expected(Answer):
    """What a model expects of a metric."""

    mean: float
    deviation: float


class Why(Answer):
    """Why a candidate was proposed."""

    by: Literal["start", "neighbour", "spread", "model"] = Field(
        description="The job's `start`; a neighbour of the last one, since the sampler repeated itself; spread over "
        "the costs, before a model can say anything; or the model of quality."
    )
    expected: dict[str, Expected] | None = Field(None, description="Of a model: each unknown objective.")


class Rung(Answer):
    """A score on the way of a candidate whose job promotes."""

    steps: int = Field(description="Of the training that the score was taken after.")
    metrics: dict[str, int | float]
    recalled: Recalled | None = None


class Quality(Answer):
    """What a candidate was scored, and after which training: of several seeds the mean."""

    label: Literal["proxy", "trained", "tested"]
    split: Literal["validation", "test"]
    steps: int | None = Field(description="Of the training; null for a trial that was stopped, see its rungs.")
    seeds: int
    metrics: dict[str, float]
    deviations: dict[str, float] | None = Field(description="Standard deviations between seeds; null of one.")


class Trial(Answer):
    """The record of one candidate in a job."""

    number: int
    state: Literal["running", "complete", "stopped", "skipped", "failed"]
    skip_reason: Literal["duplicate", "over_limit"] | None
    same_as: int | None = Field(description="Of a duplicate: the trial that came first.")
    architecture_id: str
    architecture: ArchitectureDocument
    metrics: dict[str, int | float] = Field(
        examples=[{"error_rate": 0.41, "parameters": 120_000, "latency_ms@this-machine": 1.4}]
    )
    violations: dict[str, float] = Field(description="By limit: how far over it, relative to it.")
    feasible: bool
    on_front: bool
    quality_label: Literal["proxy"] | None = Field(
        description="What the quality was measured after: a short training; null where there is no quality."
    )
    qualities: list[Quality] = Field(description="The same after a search's training, and after training in full.")
    duration_s: float | None
    started_at: datetime
    finished_at: datetime | None
    error: str | None
    rungs: list[Rung] = Field(description="Its scores after longer and longer training; empty without promotion.")
    why: Why | None = Field(description="Null where its sampler doesn't say.")
    recalled: Recalled | None = Field(description="Null where it was trained by this job.")
    stop_reason: str | None = Field(description="Of a stopped trial: why it was not trained on.")
    has_weights: bool
    links: TrialLinks


class TrialDetail(Trial):
    """A trial with the history of its training."""

    training: dict[str, Any] | None = Field(description="Settings and history of the training.")


class TrialPage(Answer):
    """Trials by number."""

    trials: list[Trial]
    next_after: int | None = Field(description="Give it as `after` for the next page; null at the end.")


class Front(Answer):
    """The non-dominated feasible trials under some objectives and limits."""

    objectives: list[Objective]
    constraints: list[Limit]
    members: list[Trial] = Field(description="Sorted by the last objective.")
    knee: int | None = Field(description="The number of the trial where giving up one objective buys least.")
    hypervolume: float | None
    evaluated: int


class TrialNews(Answer):
    """Data of a `trial` event: the trial as it is now, and what it changed."""

    trial: Trial
    progress: Progress
    front: list[int] = Field(description="Numbers of the trials on the front.")
    knee: int | None
