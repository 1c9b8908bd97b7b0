"""Leases: who may write for a job now. A worker holds a job by the newest token, for as long as it renews."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, select

from nas.errors import InvalidInput, LeaseLost, NotFound
from nas.store.records import JobState
from nas.store.tables import jobs


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
    """Return when a lease of `lease_s` seconds ends; raise `InvalidInput` below 0 or above a day."""
    if not (math.isfinite(lease_s) and 0 <= lease_s <= 86_400):
        raise InvalidInput.of("lease_s", lease_s, "0 to 86400 seconds", "lease for some seconds, then renew")
    return now + timedelta(seconds=lease_s)
