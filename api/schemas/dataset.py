"""Answers about datasets."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

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
    family: Literal["encoder", "decoder", "encoder-decoder"] = Field(
        description="Of the models that do this task: a job names a search space of this family."
    )
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
    notes: list[str] = Field(description="What else to know: what was left out, and why.")


class UnavailableDataset(Answer):
    """A bundled dataset whose package is not installed at the service."""

    name: str
    reason: str = Field(description="What to install.")


class FileEntry(Answer):
    """A file that was brought."""

    name: str = Field(description="What `task.dataset.file` of a job calls it.")
    sha256: str
    size_bytes: int
    created_at: datetime
    format: Literal["csv", "tsv", "jsonl", "txt"] | None = Field(
        description="By the suffix of its name; null where a job has to say it."
    )


class FileSummary(FileEntry):
    """A file that was brought, and what stands at its beginning."""

    columns: list[str] = Field(description="Empty where the beginning does not show them.")
    first_rows: list[dict[str, str]] = Field(description="The first rows, long values cut short.")


class DatasetList(Answer):
    """Every dataset that the service knows."""

    datasets: list[DatasetSummary]
    unavailable: list[UnavailableDataset]
    files: list[FileEntry]
