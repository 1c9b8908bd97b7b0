"""TrainingPlan: how the candidates of a job are trained."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from nas.documents import StrictModel


class TrainingPlan(StrictModel):
    """How candidates are trained (`task.training` of the job document)."""

    steps: Annotated[int, Field(ge=1, le=10_000_000)] = 200
    batch_size: Annotated[int, Field(ge=1, le=65_536)] = 32
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 3e-3
    """Base rate, of hidden matrices at width 64."""
