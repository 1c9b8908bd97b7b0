"""What everybody who follows a job is told is read once."""

from __future__ import annotations

import asyncio
import threading

import pytest

from api import followed
from api.followed import Batch, Followed
from nas.errors import NotFound, StoreUnavailable
from nas.store.store import Store


class Reads:
    """Stands for the reading of a batch: counts, waits until it may end, and fails where it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.places: list[tuple[str, int]] = []
        self.failure: Exception | None = None
        self.may_end = threading.Event()
        monkeypatch.setattr(followed, "next_batch", self)

    def __call__(self, store: Store, job_id: str, position: int) -> Batch:
        self.places.append((job_id, position))
        assert self.may_end.wait(10)
        if self.failure is not None:
            raise self.failure
        return Batch(f"{job_id} {position}".encode(), position + 1, ended=False)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Reads:
    return Reads(monkeypatch)


def test_of_many_who_wait_at_one_place_one_reads(store: Store, reads: Reads) -> None:
    async def run() -> list[Batch]:
        batches = Followed(store)
        waiting = [asyncio.create_task(batches.after("j-1", 5, mark="m")) for _ in range(50)]
        await asyncio.sleep(0.05)
        reads.may_end.set()
        late = await batches.after("j-1", 5, mark="m")
        return [*await asyncio.gather(*waiting), late]

    assert {batch.events for batch in asyncio.run(run())} == {b"j-1 5"}
    assert reads.places == [("j-1", 5)]


def test_the_end_of_a_job_is_read_anew_by_who_comes_later(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    found = [Batch(b"", 5, ended=True), Batch(b"it was queued again", 6, ended=False)]
    monkeypatch.setattr(followed, "next_batch", lambda *_: found.pop(0))

    async def run() -> list[Batch]:
        batches = Followed(store)
        return [await batches.after("j-1", 5, mark="m") for _ in range(3)]

    assert [batch.ended for batch in asyncio.run(run())] == [True, False, False]


def test_another_place_job_or_mark_is_read_anew(store: Store, reads: Reads) -> None:
    reads.may_end.set()

    async def run() -> None:
        batches = Followed(store)
        for place in (("j-1", 5, 1), ("j-1", 6, 1), ("j-2", 5, 1), ("j-1", 5, 2)):
            await batches.after(*place)

    asyncio.run(run())
    assert reads.places == [("j-1", 5), ("j-1", 6), ("j-2", 5), ("j-1", 5)]


def test_one_who_leaves_takes_it_from_nobody(store: Store, reads: Reads) -> None:
    async def run() -> Batch:
        batches = Followed(store)
        first = asyncio.create_task(batches.after("j-1", 5, mark="m"))
        await asyncio.sleep(0.05)
        other = asyncio.create_task(batches.after("j-1", 5, mark="m"))
        await asyncio.sleep(0)
        first.cancel()
        reads.may_end.set()
        return await other

    assert asyncio.run(run()).events == b"j-1 5"
    assert len(reads.places) == 1


@pytest.mark.parametrize("failure", [StoreUnavailable("the disk is away"), NotFound("it was deleted")])
def test_a_reading_that_fails_fails_for_all_who_wait_and_is_tried_again(
    store: Store, reads: Reads, failure: Exception
) -> None:
    reads.failure = failure

    async def run() -> tuple[list[object], Batch]:
        batches = Followed(store)
        waiting = [asyncio.create_task(batches.after("j-1", 5, mark="m")) for _ in range(3)]
        await asyncio.sleep(0.05)
        reads.may_end.set()
        failed = await asyncio.gather(*waiting, return_exceptions=True)
        reads.failure = None
        return list(failed), await batches.after("j-1", 5, mark="m")

    failed, batch = asyncio.run(run())
    assert failed == [failure] * 3
    assert batch.events == b"j-1 5"


def test_few_batches_are_kept(store: Store, reads: Reads) -> None:
    reads.may_end.set()

    async def run() -> int:
        batches = Followed(store)
        for position in range(3 * followed.KEPT):
            await batches.after("j-1", position, mark="m")
        return len(batches._batches)

    assert asyncio.run(run()) == followed.KEPT
