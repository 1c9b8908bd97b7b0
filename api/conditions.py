"""Cheap polls: an answer about a job carries the number of its newest event, and 304 answers who has that one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Header, Response

from api.installed import version_of
from api.services import StoreDep
from nas.store.records import JobRecord


@dataclass(frozen=True)
class Poll:
    """A job, its newest event, and what the caller holds already."""

    job: JobRecord
    sequence: int
    held: str | None
    response: Response

    def answer(self, make: Callable[[], dict[str, Any] | Response], mark: str = "") -> dict[str, Any] | Response:
        """Return what `make` makes, with the headers that make the next poll cheap, or 304 to who holds it already.

        `mark` stands for what the answer rests on beside the job's events: with another one it is made anew.
        """
        etag = f'W/"{version_of("pocketformer")}{mark}-{self.sequence}"'
        headers = {"ETag": etag, "Cache-Control": "no-cache"}
        if etag in {tag.strip() for tag in (self.held or "").split(",")}:
            return Response(status_code=304, headers=headers)
        made = make()
        (made if isinstance(made, Response) else self.response).headers.update(headers)
        return made


def _poll(
    job_id: str,
    store: StoreDep,
    response: Response,
    if_none_match: Annotated[
        str | None, Header(description="The ETag of your last answer: 304 when nothing has happened since.")
    ] = None,
) -> Poll:
    # The number is read before anything else, so that no answer is older than its ETag says
    sequence = store.last_sequence(job_id)
    return Poll(store.job(job_id), sequence, if_none_match, response)


PollDep = Annotated[Poll, Depends(_poll)]
NOT_MODIFIED = {304: {"description": "Nothing has happened since the answer that you hold."}}
