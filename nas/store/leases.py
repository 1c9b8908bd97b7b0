"""Leases: who may write for a job now. A worker holds a job by the newest token, for as long as it renews."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, or_, select

from nas.errors import InvalidInput, LeaseLost, NotFound
from nas.store.records import JobState
from nas.store.tables import jobs

LONGEST_LEASE_S = 900.0
"""A lease that ends later than this from now was given before the clock was set back: it counts as run out."""


def lock_job(connection: Connection, job_id: str) -> Row[Any]:
    """Return a job's row, locked until the transaction ends; raise `NotFound`."""
    row = connection.execute(select(jobs).where(jobs.c.id == job_id).with_for_update()).first()
    if row is None:
        raise NotFound(f"There is no job {job_id!r}.")
    return row


def lock_held_job(connection: Connection, job_id: str, token: int) -> Row[Any]:
    """Return the row of a job that `token` holds, locked until the transaction ends.

    A lease that has run out still counts while nobody else claimed the job. Raises `NotFound`, or `LeaseLost`
    when the token is not the newest or the job does not run.
    """
    row = lock_job(connection, job_id)
    if row.state != JobState.RUNNING:
        raise LeaseLost(f"The job {job_id} is {row.state}; nothing more may be written for it.")
    if row.lease_token != token:
        raise LeaseLost(
            f"The job {job_id} is held by {row.lease_owner} now (lease {row.lease_token}, not {token}); "
            "nothing more may be written for it here."
        )
    return row


def lease_end(now: datetime, lease_s: float) -> datetime:
    """Return when a lease of `lease_s` seconds ends; raise `InvalidInput` below 0 or above the longest."""
    if not (math.isfinite(lease_s) and 0 <= lease_s <= LONGEST_LEASE_S):
        allowed = f"0 to {LONGEST_LEASE_S:g} seconds"
        raise InvalidInput.of("lease_s", lease_s, allowed, "lease for some seconds, then renew")
    return now + timedelta(seconds=lease_s)


def is_held(row: Row[Any], now: datetime) -> bool:
    """Return whether a worker is at the job, as far as its lease tells."""
    return bool(row.state == JobState.RUNNING and now < row.lease_expires_at <= _latest_end(now))


def is_left(now: datetime) -> ColumnElement[bool]:
    """Return the condition that a job runs without a worker, as far as its lease tells."""
    over = or_(jobs.c.lease_expires_at <= now, jobs.c.lease_expires_at > _latest_end(now))
    return and_(jobs.c.state == JobState.RUNNING, over)


def _latest_end(now: datetime) -> datetime:
    return now + timedelta(seconds=LONGEST_LEASE_S)
