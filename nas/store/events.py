"""Events: what happened to jobs, in an order that a reader can follow without missing any."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select

from nas.store.database import Database, Section, lock_until_commit
from nas.store.records import EventRecord
from nas.store.tables import events, jobs
from nas.store.values import LARGEST_SEQUENCE, check_limit, within_range

EVENT_LOCK = 0x0E7E27
"""Advisory lock of PostgreSQL, taken before an event gets its number."""


def add_event(connection: Connection, job_id: str, kind: str, data: dict[str, Any]) -> None:
    """Write an event in the caller's transaction; call it last, since all event writers wait here in turn.

    Without that lock a transaction could commit number 6 while 5 is still under way, and a reader who has
    seen 6 would never be shown 5.
    """
    lock_until_commit(connection, EVENT_LOCK)
    now = Database.now(connection)
    connection.execute(insert(events).values(job_id=job_id, kind=kind, data=data, created_at=now))


def first_event_since(connection: Connection, instant: datetime) -> int:
    """Return the sequence number from which on events are of `instant` or later; above the last where none is.

    Events are in the order of their instants, unless a clock was set: then it is one of the numbers that part them.
    """
    first, last = connection.execute(select(func.min(events.c.sequence), func.max(events.c.sequence))).one()
    if first is None:
        return 1
    low, high = first, last + 1
    while low < high:  # there is no index by time, and needs none: twenty looks by number find it among a million
        middle = (low + high) // 2
        at_middle = select(events.c.created_at).where(events.c.sequence >= middle).order_by(events.c.sequence).limit(1)
        if connection.execute(at_middle).scalar_one() < instant:
            low = middle + 1
        else:
            high = middle
    return int(low)


class Events(Section):
    """Reading what happened."""

    def events_after(self, job_id: str | None, sequence: int, limit: int = 500) -> list[EventRecord]:
        """Return the next events after `sequence`, of one job or of all, oldest first."""
        statement = select(events).where(events.c.sequence > within_range(sequence, LARGEST_SEQUENCE))
        if job_id is not None:
            statement = statement.where(events.c.job_id == job_id)
        with self._database.read() as connection:
            rows = connection.execute(statement.order_by(events.c.sequence).limit(check_limit(limit)))
            return [_record(row) for row in rows]

    def last_sequence(self, job_id: str | None = None) -> int:
        """Return the newest event's sequence number, of one job or of all; 0 before the first."""
        statement = select(func.max(events.c.sequence))
        if job_id is not None:
            statement = statement.where(events.c.job_id == job_id)
        with self._database.read() as connection:
            return connection.execute(statement).scalar_one() or 0

    def news_mark(self) -> tuple[int, int]:
        """Return what differs from before as soon as something has happened to any job, its deletion included."""
        with self._database.read() as connection:
            newest = connection.execute(select(func.max(events.c.sequence))).scalar_one() or 0
            return newest, connection.execute(select(func.count()).select_from(jobs)).scalar_one()


def _record(row: Row[Any]) -> EventRecord:
    return EventRecord(row.sequence, row.job_id, row.kind, row.data, row.created_at)
