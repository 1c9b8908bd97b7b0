"""Answers about all trials of a job at once, and about the devices that they can be ranked for."""

from __future__ import annotations

from pydantic import Field

from api.schemas.problem import Answer


class Coded(Answer):
    """A text for each trial, by its place among the options."""

    options: list[str]
    codes: list[int] = Field(description="By trial; -1 where there is none.")


class FeatureColumn(Answer):
    """What was chosen in each trial's architecture."""

    name: str
    options: list[str] | None = Field(description="What the values are places in; null for a number.")
    values: list[int | float | None] = Field(
        description="By trial: of a choice that is made for every layer the mean, or the option `mixed`."
    )


class Columns(Answer):
    """Every trial of a job, in the order of their numbers: each list has one value a trial, but for `infeasible`."""

    numbers: list[int]
    states: Coded
    skip_reasons: Coded
    infeasible: list[int] = Field(description="The numbers of the trials that break one of the job's limits.")
    metrics: dict[str, list[int | float | None]]
    features: list[FeatureColumn] | None = Field(description="Null unless asked for.")


class JobDevice(Answer):
    """A device that a job's trials can be ranked for, or why they can't."""

    name: str
    recorded: bool = Field(description="Whether it is one of the job's, so that its trials have recorded latencies.")
    table_version: int | None = Field(description="Of the latency table that they are from; null where there is none.")
    reason: str | None = Field(description="Why there is none, and the command that makes one.")


class JobDevices(Answer):
    """The devices that the service knows, the job's own first."""

    devices: list[JobDevice]
