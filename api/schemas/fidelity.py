"""Answers about how far a job's scores can be trusted."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from api.schemas.problem import Answer


class Agreement(Answer):
    """How well one ranking agrees with that after training in full, each with its 90 % bootstrap interval."""

    tau: float | None = Field(description="Kendall's tau-b.")
    tau_low: float | None
    tau_high: float | None
    spearman: float | None
    spearman_low: float | None
    spearman_high: float | None
    candidates: int


class Compared(Answer):
    """Agreement over all of the sample, and among candidates of like cost."""

    overall: Agreement
    within_strata: Agreement | None = Field(description="Null where the sample is too small for two strata of cost.")


class RungAgreement(Compared):
    """Of a score of the search."""

    steps: int


class FreeAgreement(Compared):
    """Of what takes no training: parameters only, width only, head confidence."""

    name: str


class Noise(Answer):
    """How much the metric differs between seeds of one architecture."""

    steps: int
    deviation: float = Field(description="Standard deviation, pooled over architectures.")
    degrees: int = Field(description="Of freedom: trainings less architectures.")


class Tie(Answer):
    """A member of the front, and those of it that the noise can't tell it from."""

    trial: int
    tied_with: list[int]


class PromotionSaved(Answer):
    """What promotion saved the search."""

    steps_taken: int
    steps_without: int
    saved: float = Field(description="Share of the steps, 0 to 1.")


class Figure(Answer):
    """The metric, over several seeds."""

    mean: float
    deviation: float | None = Field(description="Between seeds, of the sample; null of one.")
    seeds: int


class FinishedMember(Answer):
    """An architecture that was to be trained in full."""

    trial: int
    roles: list[Literal["front", "smallest", "largest", "sample"]]
    on_front: bool
    parameters: float
    proxy: float = Field(description="The metric as the search saw it last.")
    trained: Figure | None = Field(description="On validation, trained in full.")
    tested: Figure | None = Field(description="On test, once, trained in full.")


class FailedTraining(Answer):
    """A training in full that failed."""

    trial: int
    seed: int
    error: str | None


class Choice(Answer):
    """What the search's choice lost, by trained figures, against all architectures that were trained in full."""

    trained: int
    chosen: int
    regret: float | None = Field(description="How much worse its best of no more cost is, on average over the best.")
    largest_regret: float | None
    hypervolume_kept: float | None = Field(description="Share, 0 to 1.")


class Finished(Answer):
    """What training in full came to."""

    members: list[FinishedMember]
    failed: list[FailedTraining]
    choice: Choice | None


class Fidelity(Answer):
    """How far the scores of a search can be trusted."""

    status: Literal["unchecked", "running", "checked", "incomplete"]
    words: list[str] = Field(description="The report in plain sentences.")
    metric: str
    direction: Literal["minimize", "maximize"]
    steps: list[int] = Field(description="Of the rungs of the search.")
    full_steps: int | None
    sample: list[int] = Field(description="Trials that the agreement is stated of.")
    rungs: list[RungAgreement]
    beside: list[FreeAgreement]
    beats_parameters: bool | None = Field(description="Whether the search's last rung ranks better than parameters.")
    noise: list[Noise]
    ties: list[Tie] | None = Field(description="Null where the noise is unknown.")
    promotion: PromotionSaved | None
    finish: Finished | None
