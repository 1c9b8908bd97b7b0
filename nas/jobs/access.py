"""Keys and the log of who did what, as doors tell of them; and who may come in when a service starts."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from nas.documents import StrictModel, validate
from nas.store.keys import KeyRecord, Role
from nas.store.store import Store

GIGABYTE = 10**9


class KeyRequest(StrictModel):
    """A key that is to be made."""

    name: Annotated[str, Field(min_length=1, max_length=200)]
    """Whose it is, or what for."""
    role: Literal["read", "submit", "admin"]
    max_open_jobs: Annotated[int, Field(ge=0, le=1_000_000)] | None = None
    """Jobs that have not ended, at once; without it what the service's settings say."""
    max_storage_gb: Annotated[float, Field(ge=0, le=1_000_000)] | None = None
    """Files in gigabytes (10^9 bytes); without it what the service's settings say."""


def create_key(store: Store, document: Any, created_by: str) -> dict[str, Any]:
    """Make a key as a document asks; return it with its `secret`. Raises `InvalidInput` by field."""
    asked = validate(KeyRequest, document)
    storage = None if asked.max_storage_gb is None else round(asked.max_storage_gb * GIGABYTE)
    key, secret = store.add_key(
        asked.name, Role(asked.role), created_by, max_open_jobs=asked.max_open_jobs, max_storage_bytes=storage
    )
    return describe_key(key) | {"secret": secret}


def describe_keys(store: Store) -> list[dict[str, Any]]:
    """Return every key in the order in which they were made."""
    return [describe_key(key) for key in store.api_keys()]


def describe_key(key: KeyRecord) -> dict[str, Any]:
    """Return one key, without its secret."""
    return _plain(asdict(key))


def describe_audit(store: Store, before: int | None = None, limit: int = 100) -> dict[str, Any]:
    """Return entries of the log, newest first, and where the next page begins."""
    found = store.audit_entries(before, limit + 1)
    entries = [_plain(asdict(entry)) for entry in found[:limit]]
    return {"entries": entries, "next_before": entries[-1]["sequence"] if len(found) > limit else None}


def _plain(fields: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value.isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else value
        for name, value in fields.items()
    }
