"""Answers about keys and the log of who did what."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from api.schemas.problem import Answer
from nas.documents import StrictModel

RoleName = Literal["read", "submit", "admin"]


class SignIn(StrictModel):
    """What a person signs in with."""

    api_key: Annotated[str, Field(min_length=1, max_length=1000)]


class Session(Answer):
    """Who the caller is."""

    asks_for_keys: bool = Field(description="Whether this service lets in only who has a key.")
    key_id: str | None
    name: str
    role: RoleName


class Key(Answer):
    """A key, without its secret."""

    id: str
    name: str
    role: RoleName = Field(description="`read` looks, `submit` also brings and runs, `admin` also manages keys.")
    created_at: datetime
    created_by: str
    revoked_at: datetime | None
    last_used_at: datetime | None = Field(description="To about a minute.")
    max_open_jobs: int | None = Field(description="Jobs that have not ended at once; null: as the service's settings.")
    max_storage_bytes: int | None = Field(description="Bytes of files; null: as the service's settings.")


class NewKey(Key):
    """A key that was just made."""

    secret: str = Field(description="Shown this once.")


class KeyList(Answer):
    """Every key."""

    keys: list[Key]


class AuditEntry(Answer):
    """One thing that somebody did, or was not allowed to do."""

    sequence: int
    at: datetime
    key_id: str | None
    who: str
    action: str
    path: str
    status: int
    client: str | None
    request_id: str | None


class AuditPage(Answer):
    """Entries, newest first."""

    entries: list[AuditEntry]
    next_before: int | None = Field(description="Give it as `before` for the next page; null at the end.")
