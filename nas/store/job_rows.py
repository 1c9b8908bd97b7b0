"""A job's row: read as a record, changed, told of."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, update

from nas.store.database import Database
from nas.store.events import add_event
from nas.store.records import JobRecord, JobState, check_job_move
from nas.store.retrainings import fail_running_retrainings
from nas.store.tables import jobs
from nas.store.trials import INTERRUPTED, fail_running_trials
from nas.store.values import mended_text


def job_record(row: Row[Any]) -> JobRecord:
    """Return a row as what the store hands out."""
    fields = {name: value for name, value in row._mapping.items() if name not in ("sequence", "idempotency_key")}
    return JobRecord(**fields | {"state": JobState(row.state)})


def changed_job(connection: Connection, job_id: str, changes: dict[str, Any]) -> Row[Any]:
    """Change a job in the caller's transaction; return its row as it is then."""
    return connection.execute(update(jobs).where(jobs.c.id == job_id).values(changes).returning(jobs)).one()


def add_job_event(connection: Connection, row: Row[Any]) -> None:
    """Tell what a job is now; call it last, as `nas.store.events.add_event`."""
    add_event(connection, row.id, "job", {"state": row.state, "reason": row.reason})


def end_job(
    connection: Connection, row: Row[Any], state: JobState, reason: str | None, changes: dict[str, Any] | None = None
) -> Row[Any]:
    """End a job in the caller's transaction; what still runs of it is failed with it."""
    check_job_move(JobState(row.state), state)
    now = Database.now(connection)
    fail_running_trials(connection, row.id, f"{INTERRUPTED} ({state}) while this trial was running")
    fail_running_retrainings(connection, row.id, f"{INTERRUPTED} ({state}) while this was running")
    ended = {
        "state": state,
        "reason": mended_text(reason),
        "finished_at": now,
        "idle_since": row.idle_since or now,
        "pause_requested": False,
        "lease_expires_at": None,
        "search_ended": row.search_ended or {"state": state, "reason": mended_text(reason)},
    }
    row = changed_job(connection, row.id, ended | (changes or {}))
    add_job_event(connection, row)
    return row


def finished_reason(search_ended: dict[str, Any], end: str) -> str:
    """Return why a job ended whose architectures were to be trained in full: how its search did, and that."""
    return f"{search_ended['reason'] or search_ended['state']}; finishing it: {end}"
