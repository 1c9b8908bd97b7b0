"""Answers about datasets."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from api.schemas.problem import Answer


class DatasetSummary(Answer):
    """A dataset: what it asks of a model, where it comes from, how large it is."""

    name: str
    title: str
    version: str
    sha256: str = Field(description="Of the parsed content: the same data has the same sum.")
    licence: str
    source: str
    task: str
    outputs: int
    classes: list[str] = Field(description="Of a classification; otherwise empty.")
    vocabulary: dict[str, Any] = Field(description="How text becomes the tokens that a model reads.")
    output_vocabulary: dict[str, Any] | None = Field(
        description="How the tokens that a sequence-to-sequence model writes become text."
    )
    vocabulary_size: int
    examples: dict[str, int] = Field(description="Examples in each split.")
    metrics: list[str]
    chance: dict[str, float] = Field(
        description="Each metric, on validation, of a model that ignores its input and knows the frequencies of train."
    )
    length_percentiles: dict[str, int] = Field(description="Length in tokens by percentile.")
    output_length_percentiles: dict[str, int] | None = Field(
        description="The same of what a sequence-to-sequence model writes, its end token included."
    )


class DatasetList(Answer):
    """Every dataset that the service knows."""

    datasets: list[DatasetSummary]
