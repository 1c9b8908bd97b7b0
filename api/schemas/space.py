"""Answers about search spaces."""

from __future__ import annotations

from pydantic import Field

from api.schemas.documents import SearchSpaceDocument
from api.schemas.problem import Answer


class Range(Answer):
    """The exact lowest and highest value over a whole space."""

    lowest: int
    highest: int


class Bounds(Answer):
    """What the models of a space can cost."""

    parameters: Range
    macs: Range = Field(description="Multiply-adds (fvcore's flops) of one forward pass of the longest input.")


class SpaceSummary(Answer):
    """A search space, with its exact size and bounds."""

    name: str
    description: str
    family: str
    size: int = Field(description="The exact number of different architectures; may exceed 2^53.")
    size_text: str = Field(description="The size for people, such as `9.6 × 10^12`.")
    bundled: bool = Field(description="Whether it comes with Pocketformer.")
    bounds: Bounds
    document: SearchSpaceDocument


class SpaceList(Answer):
    """Every search space, bundled ones first."""

    search_spaces: list[SpaceSummary]
