"""Answers about a job that is still being written."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from api.schemas.device import TableSummary
from api.schemas.problem import Answer, WrongField
from api.schemas.space import Range


class CheckedSpace(Answer):
    """The search space that the job names or holds."""

    name: str
    family: str
    size: int = Field(description="The exact number of different architectures; may exceed 2^53.")
    size_text: str = Field(description="The size for people, such as `9.6 × 10^12`.")


class CheckedMetric(Answer):
    """A metric that the job may name as an objective or in a limit."""

    name: str
    label: str
    unit: str
    direction: Literal["minimize", "maximize"]
    kind: Literal["quality", "cost", "latency"]
    reach: Range | None = Field(
        description="What the architectures of the space come to, at the workload and for the dataset: costs exactly, "
        "latencies as predicted from the newest table that covers the space. Null of a quality, and where the document "
        "does not say enough."
    )
    chance: float | None = Field(
        description="Of a quality: what a model scores that ignores its input. Null where it isn't known."
    )


class JobCheck(Answer):
    """What submitting the document would meet."""

    valid: bool = Field(description="Whether nothing was found that submitting would refuse.")
    errors: list[WrongField] = Field(description="Each wrong or missing field.")
    notes: list[str] = Field(description="What could not be checked now, and when it will be.")
    search_space: CheckedSpace | None = Field(description="Null where the document names none that there is.")
    metrics: list[CheckedMetric] = Field(description="Qualities first, then costs, then latencies.")
    latency_tables: list[TableSummary] = Field(description="Those that the job would be pinned to now.")
    training_steps: int | None = Field(
        description="The steps of all trials; promotion makes them fewer. Null of an unfinished document."
    )
    yaml: str = Field(description="The document as it was sent, as YAML.")
