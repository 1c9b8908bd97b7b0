"""Start: candidates that a job evaluates before its sampler is asked."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from nas.documents import StrictModel

MOST_ARCHITECTURES = 256


class Start(StrictModel):
    """Where a search begins: architectures that a person has, and what earlier jobs have found."""

    architectures: Annotated[tuple[dict[str, Any], ...], Field(max_length=MOST_ARCHITECTURES)] = ()
    """Documents of architectures, or configurations as they are downloaded; the present model, say."""
    jobs: Annotated[tuple[str, ...], Field(max_length=16)] = ()
    """Ids of jobs: the members of their fronts come first. Scores that were trained in the same way are recalled."""
