"""How much a key may have: counted in the transaction that adds to it, with nobody else adding meanwhile."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, func, select

from nas.errors import QuotaExceeded
from nas.store.database import lock_until_commit
from nas.store.keys import Owner
from nas.store.records import JobState
from nas.store.tables import file_chunks, file_contents, files, jobs

QUOTA_LOCK = 0x0907A
"""Advisory lock of PostgreSQL."""


def check_open_jobs(connection: Connection, job: Row[Any], owner: Owner | None) -> None:
    """Raise `QuotaExceeded` when a key now has more jobs that have not ended than it may have.

    `job` has just been added or queued again by `owner`; a job of another key counts as that one's, and is let be.
    """
    if owner is None or owner.max_open_jobs is None or job.submitted_by != owner.key_id:
        return
    lock_until_commit(connection, QUOTA_LOCK)
    ended = [state for state in JobState if state.is_final]
    mine = (jobs.c.submitted_by == owner.key_id) & jobs.c.state.not_in(ended)
    held = connection.execute(select(func.count()).select_from(jobs).where(mine)).scalar_one()
    if held > owner.max_open_jobs:
        raise QuotaExceeded(
            f"The key {owner.key_id} may have {owner.max_open_jobs} jobs that have not ended at once: wait for one of "
            "them, cancel one, or ask an administrator for more."
        )


def bytes_left(connection: Connection, owner: Owner | None, chunk_bytes: int) -> int | None:
    """Return how many bytes a key may still bring, below 0 where it has too many; None for any number.

    What is on its way in counts in whole chunks.
    """
    if owner is None or owner.max_storage_bytes is None:
        return None
    lock_until_commit(connection, QUOTA_LOCK)
    kept = select(func.coalesce(func.sum(file_contents.c.size_bytes), 0)).join_from(files, file_contents)
    coming = select(func.count()).select_from(file_chunks).join(file_contents)
    of_files = connection.execute(kept.where(files.c.added_by == owner.key_id)).scalar_one()
    unfinished = (file_contents.c.added_by == owner.key_id) & file_contents.c.sha256.is_(None)
    of_uploads = connection.execute(coming.where(unfinished)).scalar_one() * chunk_bytes
    return owner.max_storage_bytes - int(of_files) - int(of_uploads)
