"""Documents that pass through unchanged: their shape is the domain's own, and OpenAPI quotes it from there."""

from __future__ import annotations

from typing import Any

from pydantic import RootModel


class ArchitectureDocument(RootModel[dict[str, Any]]):
    """One model, completely (`pocketformer/architecture/1`)."""


class SearchSpaceDocument(RootModel[dict[str, Any]]):
    """A search space (`pocketformer/search-space/1`)."""


class JobDocument(RootModel[dict[str, Any]]):
    """A job, as it was submitted and completed by the defaults."""


class JobDraft(RootModel[dict[str, Any]]):
    """A job as `POST /v1/jobs` takes it, finished or not: any field may be missing or wrong."""


class LatencyTableDocument(RootModel[dict[str, Any]]):
    """A latency table: raw measurements, what they were taken on, and how."""


class ConfigurationDocument(RootModel[dict[str, Any]]):
    """Everything that rebuilds one trial's model, and the numbers it should then show."""
