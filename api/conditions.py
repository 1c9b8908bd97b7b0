"""Cheap polls: an answer about a job carries the number of its newest event, and 304 answers who has that one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Header, Response

from api.installed import version_of
from api.services import StoreDep
from nas.store.records import JobRecord


@dataclass(frozen=True)
class Poll:
    """A job, its newest event, and what the caller holds already."""

    job: JobRecord
    etag: str
    held: str | None

    @property
    def has_no_news(self) -> bool:
        """Whether the caller's answer is still the newest."""
        return self.etag in {tag.strip() for tag in (self.held or "").split(",")}

    @property
    def headers(self) -> dict[str, str]:
        """The headers that let the caller ask cheaply next time."""
        return {"ETag": self.etag, "Cache-Control": "no-cache"}

    def not_modified(self) -> Response:
        """Return the answer to a caller who holds the newest one."""
        return Response(status_code=304, headers=self.headers)


def _poll(
    job_id: str,
    store: StoreDep,
    if_none_match: Annotated[
        str | None, Header(description="The ETag of your last answer: 304 when nothing has happened since.")
    ] = None,
) -> Poll:
    # The number is read before anything else, so that no answer is older than its ETag says
    sequence = store.last_sequence(job_id)
    return Poll(store.job(job_id), f'W/"{version_of("pocketformer")}-{sequence}"', if_none_match)


PollDep = Annotated[Poll, Depends(_poll)]
NOT_MODIFIED = {304: {"description": "Nothing has happened since the answer that you hold."}}
