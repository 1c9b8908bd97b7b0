"""Answers about datasets."""

from __future__ import annotations

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
    classes: list[str]
    vocabulary_size: int
    examples: dict[str, int] = Field(description="Examples in each split.")
    metrics: list[str]
    majority_error_rate: float = Field(description="Error rate of always naming the most frequent class.")
    length_percentiles: dict[str, int] = Field(description="Length in tokens by percentile.")


class DatasetList(Answer):
    """Every dataset that the service knows."""

    datasets: list[DatasetSummary]
