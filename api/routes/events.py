"""A job's events as they happen (server-sent events), resumable after a broken connection."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated, Any

import anyio
from fastapi import APIRouter, Depends, Header, Query
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic.json_schema import SkipJsonSchema
from starlette.exceptions import HTTPException

from api.inputs import refuse_unknown_query
from api.schemas.job import JobSummary
from api.schemas.problem import documented
from api.schemas.trial import TrialNews
from api.services import ServicesDep, StoreDep
from nas.errors import InvalidInput, NotFound
from nas.jobs.report import describe_job, describe_trial, progress_of
from nas.jobs.view import view_of
from nas.store.records import EventRecord
from nas.store.store import Store

router = APIRouter(prefix="/v1/jobs/{job_id}", tags=["jobs"], dependencies=[Depends(refuse_unknown_query)])

_AT_ONCE = 500

_STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "`job` events carry a JobSummary, `trial` events a TrialNews, each as it is when it is "
        "sent: of several past events about one trial only the newest is sent. The stream ends with the job.",
        "content": {"text/event-stream": {"schema": {"$ref": "#/components/schemas/TrialNews"}}},
    },
    204: {"description": "The job has ended and there is nothing after the event that you name."},
}

_EVENT_ID: dict[str, Any] = {"pattern": "^[0-9]{1,18}$"}


@dataclass(frozen=True)
class _Batch:
    """The next events of a job, ready to send."""

    events: list[ServerSentEvent]
    position: int
    """The sequence number of the last event that was looked at."""
    ended: bool
    """Whether nothing will ever follow."""


def _first_batch(
    job_id: str,
    store: StoreDep,
    last_event_id: Annotated[
        str | SkipJsonSchema[None],
        Header(description="Sent by browsers when they reconnect.", json_schema_extra=_EVENT_ID),
    ] = None,
    after: Annotated[
        str | SkipJsonSchema[None],
        Query(
            alias="last_event_id",
            description="The same, for callers who cannot send the header.",
            json_schema_extra=_EVENT_ID,
        ),
    ] = None,
) -> _Batch:
    known = [int(_checked(given)) for given in (last_event_id, after) if given is not None]
    batch = _next_batch(store, job_id, known[0] if known else 0)
    if batch.ended and not batch.events:
        raise HTTPException(204)  # tells a browser to reconnect no more
    return batch


def _checked(event_id: str) -> str:
    if not (event_id.isascii() and event_id.isdecimal() and len(event_id) < 19):
        raise InvalidInput.of(
            "last_event_id", event_id, "the id of an event of this stream", "leave it out to begin with the first"
        )
    return event_id


@router.get("/events", response_class=EventSourceResponse, responses=_STREAM | documented(404, 422))
async def follow_job(
    job_id: str, first: Annotated[_Batch, Depends(_first_batch)], services: ServicesDep
) -> AsyncIterator[ServerSentEvent]:
    """Follow a job: everything that has happened after `Last-Event-ID`, then what happens, until it ends."""
    news, batch = services.news, first
    while True:
        for event in batch.events:
            yield event
        if batch.ended:
            return
        newest = news.newest  # noted before reading on: what comes after the reading will differ from it
        try:
            batch = await anyio.to_thread.run_sync(_next_batch, services.store, job_id, batch.position)
        except NotFound:  # deleted meanwhile
            return
        if not batch.events and not batch.ended and not await news.newer_than(newest):
            return


def _next_batch(store: Store, job_id: str, position: int) -> _Batch:
    job = store.job(job_id)
    events = store.events_after(job_id, position, _AT_ONCE)
    if not events:
        return _Batch([], position, job.state.is_final)
    last = events[-1]
    # A job that has ended may be queued again, to be finished: only an end that nothing follows ends the stream
    ended = job.state.is_final and len(events) < _AT_ONCE
    newest_by_subject = {event.data.get("number"): event for event in events}
    unique = sorted(newest_by_subject.values(), key=lambda event: event.sequence)
    return _Batch(_rendered(store, job_id, unique), last.sequence, ended)


def _rendered(store: Store, job_id: str, events: list[EventRecord]) -> list[ServerSentEvent]:
    job = store.job(job_id)
    view = view_of(store, job)
    news = {"progress": progress_of(store, job, view), "front": list(view.front), "knee": view.knee}
    numbers = [event.data["number"] for event in events if event.kind == "trial"]
    texts: dict[int | None, str] = {
        trial.number: TrialNews.model_validate({"trial": describe_trial(job, trial, view), **news}).model_dump_json()
        for trial in store.trials_numbered(job_id, numbers)
    }
    if len(texts) < len(set(numbers)):
        raise NotFound(f"The job {job_id} was deleted.")
    texts[None] = JobSummary.model_validate(describe_job(store, job)).model_dump_json()
    return [
        ServerSentEvent(id=str(event.sequence), event=event.kind, raw_data=texts[event.data.get("number")])
        for event in events
    ]
