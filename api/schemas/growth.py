"""Answers about how a search came along."""

from __future__ import annotations

from pydantic import Field

from api.schemas.problem import Answer


class GrowthStep(Answer):
    """A trial that raised the hypervolume."""

    trial: int
    evaluations: int = Field(description="Complete trials up to this number, itself among them.")
    hypervolume: float = Field(description="Of all of these that keep the limits, 0 to 1.")


class Growth(Answer):
    """The hypervolume by trial number: between two steps it stays."""

    evaluated: int = Field(description="Complete trials by now.")
    steps: list[GrowthStep] | None = Field(description="Null for a job that has no reference for its objectives.")
