"""The next events of a job, read and rendered once for everyone who follows it."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass

import anyio
from fastapi.sse import format_sse_event

from api.schemas.job import JobSummary
from api.schemas.trial import TrialNews
from nas.errors import NotFound
from nas.jobs.report import describe_job, describe_trial, progress_of
from nas.jobs.view import view_of
from nas.store.records import EventRecord
from nas.store.store import Store

AT_ONCE = 500
"""Events that are read together; of several about one trial the newest is told."""
KEPT = 16
"""Batches kept for those who come to the same place a little later."""

_Place = tuple[str, int, Hashable]
"""A job, the number of the last event that was looked at, and the mark of the news then."""


@dataclass(frozen=True)
class Batch:
    """The next events of a job, as they are sent."""

    events: bytes
    position: int
    """The sequence number of the last event that was looked at."""
    ended: bool
    """Whether nothing will ever follow."""


class Followed:
    """Reads batches, each once: of those who ask for the same one meanwhile, all but the first wait for it.

    Who follows a job is told of each event at the same moment as everybody else who does.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._batches: OrderedDict[_Place, asyncio.Task[Batch]] = OrderedDict()

    async def after(self, job_id: str, position: int, mark: Hashable) -> Batch:
        """Return the events after `position` that there are by `mark`, and perhaps later ones.

        Whatever happened before the mark was taken is in it, whoever read it; what happened after that changes the
        mark, and is asked for under the next one. Raises `NotFound`, `StoreUnavailable`.
        """
        place = (job_id, position, mark)
        reading = self._batches.get(place)
        if reading is None:
            reading = self._batches[place] = asyncio.create_task(self._read(place))
            while len(self._batches) > KEPT:
                self._batches.popitem(last=False)
        return await asyncio.shield(reading)  # one who leaves must not take it from the others

    async def _read(self, place: _Place) -> Batch:
        job_id, position, _ = place
        try:
            batch = await anyio.to_thread.run_sync(next_batch, self._store, job_id, position)
        except BaseException:
            self._batches.pop(place, None)  # the next one tries again
            raise
        if batch.ended:  # nobody waits for news of it, which would change the mark when it is queued again
            self._batches.pop(place, None)
        return batch


def next_batch(store: Store, job_id: str, position: int) -> Batch:
    """Return the events after `position`; raise `NotFound` for a job that is not there."""
    job = store.job(job_id)
    events = store.events_after(job_id, position, AT_ONCE)
    if not events:
        return Batch(b"", position, job.state.is_final)
    last = events[-1]
    # A job that has ended may be queued again, to be finished: only an end that nothing follows ends the stream
    ended = job.state.is_final and len(events) < AT_ONCE
    newest_by_subject = {event.data.get("number"): event for event in events}
    unique = sorted(newest_by_subject.values(), key=lambda event: event.sequence)
    return Batch(_rendered(store, job_id, unique), last.sequence, ended)


def _rendered(store: Store, job_id: str, events: list[EventRecord]) -> bytes:
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
    return b"".join(
        format_sse_event(id=str(event.sequence), event=event.kind, data_str=texts[event.data.get("number")])
        for event in events
    )
