"""Artifacts: byte strings such as weights, each kept once under its SHA-256."""

from __future__ import annotations

import hashlib

from sqlalchemy import Connection, select

from nas.errors import NotFound
from nas.store.database import Database, Section, insert_unless_there
from nas.store.tables import artifacts


def add_artifact(connection: Connection, content: bytes) -> str:
    """Keep `content` in the caller's transaction and return its SHA-256 in hexadecimal."""
    sha256 = hashlib.sha256(content).hexdigest()
    if connection.execute(select(artifacts.c.sha256).where(artifacts.c.sha256 == sha256)).first() is None:
        values = {
            "sha256": sha256,
            "size_bytes": len(content),
            "created_at": Database.now(connection),
            "content": content,
        }
        insert_unless_there(connection, artifacts, values)
    return sha256


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
