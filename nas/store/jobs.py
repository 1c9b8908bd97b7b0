"""Jobs: the queue, and the life of each job from submission to its end."""

from __future__ import annotations

import base64
import binascii
import re
import secrets
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, func, or_, select

from nas.errors import Conflict, IllegalMove, InvalidInput, NotFound
from nas.search.priority import check_priority
from nas.store.database import Database, Section, insert_unless_there
from nas.store.job_rows import add_job_event, changed_job, end_job, job_record
from nas.store.keys import Owner
from nas.store.leases import is_left, lease_end, lock_held_job, lock_job
from nas.store.quotas import check_open_jobs
from nas.store.records import JobRecord, JobState, check_job_move
from nas.store.tables import jobs
from nas.store.values import LARGEST_SEQUENCE, check_limit, mended_text, plain, plain_text, within_range


class Jobs(Section):
    """Submitting, claiming, holding, ending and reading jobs."""

    # Submission --------------------------------------------------------------------------------------------

    def add_job(
        self,
        name: str,
        document: dict[str, Any],
        idempotency_key: str | None = None,
        priority: int = 0,
        owner: Owner | None = None,
    ) -> tuple[JobRecord, bool]:
        """Queue a job and return it with True; for a key that was used before, the first job with False.

        Raises `Conflict` when the first job of the key has another document, `QuotaExceeded` when the owner has as
        many jobs that have not ended as it may have, `InvalidInput` for values that JSON does not have.
        """
        document = plain(document, "document")
        if idempotency_key is not None:
            plain_text(idempotency_key, "idempotency_key")
        values: dict[str, Any] = {
            "id": "j-" + secrets.token_hex(10),
            "name": plain_text(name, "name"),
            "document": document,
            "idempotency_key": idempotency_key,
            "state": JobState.QUEUED,
            "priority": check_priority(priority),
            "cancel_requested": False,
            "pause_requested": False,
            "idle_s": 0.0,
            "lease_token": 0,
            "submitted_by": owner and owner.key_id,
        }
        with self._database.write() as connection:
            values["created_at"] = Database.now(connection)
            if insert_unless_there(connection, jobs, values):
                row = connection.execute(select(jobs).where(jobs.c.id == values["id"])).one()
                check_open_jobs(connection, row, owner)
                add_job_event(connection, row)
                return job_record(row), True
            first = connection.execute(select(jobs).where(jobs.c.idempotency_key == idempotency_key)).one()
        if first.document != document:
            raise Conflict(
                f"The idempotency key {idempotency_key!r} was used for the job {first.id} with another "
                "document: take a new key for a new job."
            )
        return job_record(first), False

    # Work --------------------------------------------------------------------------------------------------

    def claim_job(self, worker: str, lease_s: float) -> JobRecord | None:
        """Give a job that waits, or whose lease has run out, to `worker`; None when there is none.

        Of several it is the oldest among those of the highest priority.
        """
        first = (
            select(jobs).order_by(jobs.c.priority.desc(), jobs.c.sequence).limit(1).with_for_update(skip_locked=True)
        )
        with self._database.write() as connection:
            return _claim(connection, first, worker, lease_s)

    def claim_job_by_id(self, job_id: str, worker: str, lease_s: float) -> JobRecord | None:
        """Give this job to `worker`; None when another one holds it or it has ended. Raises `NotFound`."""
        with self._database.write() as connection:
            lock_job(connection, job_id)
            return _claim(connection, select(jobs).where(jobs.c.id == job_id), worker, lease_s)

    def heartbeat(self, job_id: str, token: int, lease_s: float) -> JobRecord:
        """Renew the lease for `lease_s` seconds from now; the record tells whether to cancel or to pause.

        Raises `LeaseLost` when another worker claimed the job or it has ended, and `NotFound`.
        """
        with self._database.write() as connection:
            lock_held_job(connection, job_id, token)
            end = lease_end(Database.now(connection), lease_s)
            return job_record(changed_job(connection, job_id, {"lease_expires_at": end}))

    def release_job(self, job_id: str, token: int) -> None:
        """End the lease now: the job goes on with the next worker that claims it. Raises `LeaseLost`."""
        self.heartbeat(job_id, token, 0)

    def set_reference(self, job_id: str, token: int, reference: dict[str, Any]) -> None:
        """Fix what the job's hypervolume is measured against. Raises `LeaseLost`, `InvalidInput`."""
        reference = plain(reference, "reference")
        with self._database.write() as connection:
            lock_held_job(connection, job_id, token)
            changed_job(connection, job_id, {"reference": reference})

    def end_search(self, job_id: str, token: int, reason: str, finish: dict[str, Any]) -> JobRecord:
        """Record that the search of a running job succeeded, and that the job goes on to be finished.

        Raises `LeaseLost`, `NotFound`, `InvalidInput`.
        """
        changes = {
            "search_ended": {"state": JobState.SUCCEEDED, "reason": mended_text(reason)},
            "finish": plain(finish, "finish"),
        }
        with self._database.write() as connection:
            lock_held_job(connection, job_id, token)
            row = changed_job(connection, job_id, changes)
            add_job_event(connection, row)
            return job_record(row)

    def finish_job(self, job_id: str, token: int, state: JobState, reason: str | None) -> JobRecord:
        """End a running job. What still runs of it is failed with it, in the same transaction.

        Raises `IllegalMove` for a state that is no end, `LeaseLost`, `NotFound`.
        """
        if not state.is_final:
            raise IllegalMove(f"A job can't end as {state}.")
        with self._database.write() as connection:
            row = lock_held_job(connection, job_id, token)
            return job_record(end_job(connection, row, state, reason))

    # Reading -----------------------------------------------------------------------------------------------

    def job(self, job_id: str) -> JobRecord:
        """Return one job; raise `NotFound`."""
        with self._database.read() as connection:
            row = connection.execute(select(jobs).where(jobs.c.id == job_id)).first()
        if row is None:
            raise NotFound(f"There is no job {job_id!r}.")
        return job_record(row)

    def job_with_key(self, idempotency_key: str) -> JobRecord | None:
        """Return the job that was submitted with this key, if there is one."""
        plain_text(idempotency_key, "idempotency_key")
        with self._database.read() as connection:
            row = connection.execute(select(jobs).where(jobs.c.idempotency_key == idempotency_key)).first()
        return None if row is None else job_record(row)

    def jobs(self, after: str | None = None, limit: int = 50) -> tuple[list[JobRecord], str | None]:
        """Return a page of jobs, newest first, and the cursor of the next page (None on the last).

        A job submitted between two pages moves nothing. Raises `InvalidInput` for a cursor that isn't ours.
        """
        statement = select(jobs).order_by(jobs.c.sequence.desc()).limit(check_limit(limit) + 1)
        if after is not None:
            statement = statement.where(jobs.c.sequence < within_range(_sequence_of(after), LARGEST_SEQUENCE))
        with self._database.read() as connection:
            rows = connection.execute(statement).all()
        cursor = _cursor(rows[limit - 1].sequence) if len(rows) > limit else None
        return [job_record(row) for row in rows[:limit]], cursor

    def job_counts(self) -> dict[JobState, int]:
        """Return how many jobs are in each state."""
        with self._database.read() as connection:
            return jobs_by_state(connection)


def jobs_by_state(connection: Connection) -> dict[JobState, int]:
    """Return how many jobs are in each state."""
    statement = select(jobs.c.state, func.count().label("jobs")).group_by(jobs.c.state)
    found = {row.state: row.jobs for row in connection.execute(statement)}
    return {state: found.get(state, 0) for state in JobState}


def _claim(connection: Connection, candidates: Select[Any], worker: str, lease_s: float) -> JobRecord | None:
    now = Database.now(connection)
    end = lease_end(now, lease_s)
    row = connection.execute(candidates.where(_claimable(now))).first()
    if row is None:
        return None
    check_job_move(JobState(row.state), JobState.RUNNING)
    changes: dict[str, Any] = {
        "state": JobState.RUNNING,
        "started_at": row.started_at or now,
        "lease_owner": plain_text(worker, "worker"),
        "lease_token": row.lease_token + 1,
        "lease_expires_at": end,
    }
    if row.search_ended is None and row.idle_since is not None:  # the clock of its hours goes on
        idle_s = max(0.0, (now - row.idle_since).total_seconds()) if row.started_at else 0.0
        changes |= {"idle_s": row.idle_s + idle_s, "idle_since": None}
    row = changed_job(connection, row.id, changes)
    add_job_event(connection, row)
    return job_record(row)


def _claimable(now: datetime) -> ColumnElement[bool]:
    return or_(jobs.c.state == JobState.QUEUED, is_left(now))


def _cursor(sequence: int) -> str:
    return base64.urlsafe_b64encode(f"jobs:{sequence}".encode()).decode()


def _sequence_of(cursor: str) -> int:
    try:
        match = re.fullmatch(r"jobs:([0-9]{1,19})", base64.urlsafe_b64decode(cursor).decode())
    except (binascii.Error, ValueError):
        match = None
    if match is None:
        raise InvalidInput.of(
            "cursor", cursor, "the next_cursor of an earlier page", "leave it out to begin with the newest"
        )
    return int(match[1])
