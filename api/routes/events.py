"""A job's events as they happen (server-sent events), resumable after a broken connection."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any

import anyio
from fastapi import APIRouter, Depends, Header, Query, Response
from fastapi.responses import StreamingResponse
from fastapi.sse import KEEPALIVE_COMMENT
from pydantic.json_schema import SkipJsonSchema
from starlette.exceptions import HTTPException

from api.followed import Batch
from api.inputs import refuse_unknown_query
from api.schemas.job import JobSummary
from api.schemas.problem import Answer, documented
from api.schemas.trial import TrialNews
from api.services import Services, ServicesDep
from nas.errors import InvalidInput, NotFound

router = APIRouter(prefix="/v1/jobs/{job_id}", tags=["jobs"], dependencies=[Depends(refuse_unknown_query)])

PING_S = 15.0
"""A stream in which nothing happens says so often that it lives: proxies close one that is silent."""

_EVENT_ID: dict[str, Any] = {"pattern": "^[0-9]{1,18}$"}


def _event(kind: str, model: type[Answer]) -> dict[str, Any]:
    """Return the schema of one event as a reader of the stream sees it: strings, of which the data is JSON."""
    data = {
        "type": "string",
        "contentMediaType": "application/json",
        "contentSchema": {"$ref": f"#/components/schemas/{model.__name__}"},
    }
    return {
        "type": "object",
        "required": ["id", "event", "data"],
        "properties": {"id": {"type": "string"} | _EVENT_ID, "event": {"const": kind}, "data": data},
    }


_STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "`job` events carry a JobSummary, `trial` events a TrialNews, each as it is when it is "
        "sent: of several past events about one trial only the newest is sent. The stream ends with the job.",
        # The keyword is OpenAPI 3.2's; FastAPI writes it into its 3.1 for streams of its own too
        "content": {
            "text/event-stream": {"itemSchema": {"oneOf": [_event("job", JobSummary), _event("trial", TrialNews)]}}
        },
    },
    204: {"description": "The job has ended and there is nothing after the event that you name."},
}

_HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}  # the second is nginx's word for the first


async def _first_batch(
    job_id: str,
    services: ServicesDep,
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
) -> Batch:
    known = [int(_checked(given)) for given in (last_event_id, after) if given is not None]
    await anyio.to_thread.run_sync(services.store.job, job_id)  # what is kept of it may be older than its deletion
    batch = await services.followed.after(job_id, known[0] if known else 0, services.news.newest)
    if batch.ended and not batch.events:
        raise HTTPException(204)  # tells a browser to reconnect no more
    return batch


def _checked(event_id: str) -> str:
    if not (event_id.isascii() and event_id.isdecimal() and len(event_id) < 19):
        raise InvalidInput.of(
            "last_event_id", event_id, "the id of an event of this stream", "leave it out to begin with the first"
        )
    return event_id


@router.get("/events", response_class=Response, responses=_STREAM | documented(404, 422))
async def follow_job(job_id: str, first: Annotated[Batch, Depends(_first_batch)], services: ServicesDep) -> Response:
    """Follow a job: everything that has happened after `Last-Event-ID`, then what happens, until it ends."""
    return StreamingResponse(_stream(job_id, first, services), media_type="text/event-stream", headers=_HEADERS)


async def _stream(job_id: str, first: Batch, services: Services) -> AsyncIterator[bytes]:
    # Bytes, since FastAPI's own streams pass every event of every caller through three tasks
    news, batch = services.news, first
    while True:
        if batch.events:
            yield batch.events
        if batch.ended:
            return
        mark = news.newest  # noted before reading on: what comes after the reading will differ from it
        try:
            batch = await services.followed.after(job_id, batch.position, mark)
        except NotFound:  # deleted meanwhile
            return
        if not batch.events and not batch.ended:
            try:
                with anyio.fail_after(PING_S):
                    if not await news.newer_than(mark):
                        return
            except TimeoutError:
                yield KEEPALIVE_COMMENT
