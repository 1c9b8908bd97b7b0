"""The log of who did what: every request that could change something, and every one that was refused."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, insert, select

from nas.store.database import Database, Section
from nas.store.tables import audit_entries
from nas.store.values import LARGEST_SEQUENCE, check_limit, mended_text, within_range

LONGEST = 500
"""Characters of what callers make up."""


@dataclass(frozen=True)
class AuditEntry:
    """One thing that somebody did, or was not allowed to do."""

    sequence: int
    at: datetime
    key_id: str | None
    """Of the caller; None where nobody had to log in."""
    who: str
    """The key's name then; `local` where nobody had to log in, `unknown` where nobody did."""
    action: str
    """Method and template of the route, such as `POST /v1/jobs`; a command's name where it was one."""
    path: str
    status: int
    """Of the answer."""
    client: str | None
    """Address that the request came from."""
    request_id: str | None


class Audit(Section):
    """Writing and reading the log. Nothing in it is ever changed."""

    def add_audit_entry(
        self,
        who: str,
        action: str,
        path: str,
        status: int,
        *,
        key_id: str | None = None,
        client: str | None = None,
        request_id: str | None = None,
    ) -> None:
        """Write an entry."""
        values = {
            "who": _short(who),
            "action": _short(action),
            "path": _short(path),
            "status": status,
            "key_id": key_id,
            "client": client,
            "request_id": request_id,
        }
        with self._database.write() as connection:
            connection.execute(insert(audit_entries).values(values | {"at": Database.now(connection)}))

    def audit_entries(self, before: int | None = None, limit: int = 100) -> list[AuditEntry]:
        """Return the newest entries, or those before a sequence number, newest first."""
        statement = select(audit_entries).order_by(audit_entries.c.sequence.desc()).limit(check_limit(limit))
        if before is not None:
            statement = statement.where(audit_entries.c.sequence < within_range(before, LARGEST_SEQUENCE))
        with self._database.read() as connection:
            return [_entry(row) for row in connection.execute(statement)]


def _short(text: str) -> str:
    return (mended_text(text) or "")[:LONGEST]


def _entry(row: Row[Any]) -> AuditEntry:
    return AuditEntry(**row._mapping)
