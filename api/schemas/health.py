"""Answers about the service itself."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from api.schemas.problem import Answer


class Alive(Answer):
    """The process is up."""

    status: Literal["alive"] = "alive"
    version: str = Field(description="Pocketformer's version.")


class Ready(Answer):
    """The service can do its work."""

    status: Literal["ready"] = "ready"
    schema_revision: str = Field(description="The schema that the database has.")
