"""Artifacts: byte strings such as weights, each kept once under its SHA-256."""

from __future__ import annotations

import hashlib
from collections.abc import Collection

from sqlalchemy import Connection, delete, select, union

from nas.errors import NotFound
from nas.store.database import Database, Section, insert_unless_there, lock_until_commit
from nas.store.tables import artifacts, retrainings, trials

ARTIFACT_LOCK = 0xA271FA
"""Advisory lock of PostgreSQL: held together by who refers to artifacts, alone by who removes some."""


def add_artifact(connection: Connection, content: bytes) -> str:
    """Keep `content` in the caller's transaction and return its SHA-256 in hexadecimal."""
    sha256 = hashlib.sha256(content).hexdigest()
    lock_until_commit(connection, ARTIFACT_LOCK, shared=True)
    if connection.execute(select(artifacts.c.sha256).where(artifacts.c.sha256 == sha256)).first() is None:
        values = {
            "sha256": sha256,
            "size_bytes": len(content),
            "created_at": Database.now(connection),
            "content": content,
        }
        insert_unless_there(connection, artifacts, values)
    return sha256


def weights_of_job(connection: Connection, job_id: str) -> set[str]:
    """Return the SHA-256 of all weights that a job's trials and retrainings have."""
    of_job = union(*(select(table.c.weights_sha256).where(table.c.job_id == job_id) for table in (trials, retrainings)))
    return {sha256 for (sha256,) in connection.execute(of_job) if sha256 is not None}


def remove_unused_artifacts(connection: Connection, candidates: Collection[str]) -> None:
    """Remove those of the artifacts that nothing refers to any more, in the caller's transaction."""
    if not candidates:
        return
    lock_until_commit(connection, ARTIFACT_LOCK)
    ordered = sorted(candidates)
    for start in range(0, len(ordered), 500):  # below what a statement may have of parameters
        some = ordered[start : start + 500]
        used = union(
            *(select(table.c.weights_sha256).where(table.c.weights_sha256.in_(some)) for table in (trials, retrainings))
        )
        kept = {sha256 for (sha256,) in connection.execute(used)}
        connection.execute(delete(artifacts).where(artifacts.c.sha256.in_(set(some) - kept)))


class Artifacts(Section):
    """Reading artifacts."""

    def artifact(self, sha256: str) -> bytes:
        """Return the bytes of that SHA-256; raise `NotFound`."""
        statement = select(artifacts.c.content).where(artifacts.c.sha256 == sha256)
        with self._database.read() as connection:
            content = connection.execute(statement).scalar_one_or_none()
        if content is None:
            raise NotFound(f"There is no artifact {sha256!r}.")
        return bytes(content)
