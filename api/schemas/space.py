"""Answers about search spaces."""

from __future__ import annotations

from pydantic import Field

from api.schemas.documents import SearchSpaceDocument
from api.schemas.problem import Answer
from nas.workload import Workload


class Range(Answer):
    """The exact lowest and highest value over a whole space: a count, or megabytes where the name says so."""

    lowest: int | float
    highest: int | float


class SpaceSummary(Answer):
    """A search space, with its exact size and bounds."""

    name: str
    description: str
    family: str
    size: int = Field(description="The exact number of different architectures; may exceed 2^53.")
    size_text: str = Field(description="The size for people, such as `9.6 × 10^12`.")
    bundled: bool = Field(description="Whether it comes with Pocketformer.")
    bounds: dict[str, Range] = Field(
        description="By cost, at `bounds_workload`. In a list `parameters` alone; of one space every cost it has."
    )
    bounds_workload: Workload = Field(
        description="The longest input and output; a decoder reads half of its longest sequence and writes half."
    )
    document: SearchSpaceDocument


class SpaceList(Answer):
    """Every search space, bundled ones first."""

    search_spaces: list[SpaceSummary]
