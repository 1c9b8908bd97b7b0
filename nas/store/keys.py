"""Keys of the API: who may do what, and how much of it. Only a hash of each is kept."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from nas.errors import Conflict, InvalidInput, NotFound
from nas.store.database import Database, Section, lock_until_commit
from nas.store.tables import api_keys
from nas.store.values import LARGEST_NUMBER, LARGEST_SEQUENCE, plain_text

KEY_LOCK = 0x6E75
"""Advisory lock of PostgreSQL: two administrators can't each take away the other's key at once."""
PREFIX = "pf_"
"""What every key begins with, so that a scanner of secrets knows one when it sees it."""
LEAST_SECRET = 32
"""Characters of a key that a person brings."""


class Role(StrEnum):
    """What a key is for; each role may do what those before it may."""

    READ = "read"
    SUBMIT = "submit"
    ADMIN = "admin"

    def includes(self, other: Role) -> bool:
        """Return whether this role may do what `other` may."""
        order = list(Role)
        return order.index(self) >= order.index(other)


@dataclass(frozen=True)
class Owner:
    """On whose account something is kept, and how much that may be; None for as much as one likes."""

    key_id: str
    max_open_jobs: int | None = None
    max_storage_bytes: int | None = None


@dataclass(frozen=True)
class KeyRecord:
    """One key as it stood when it was read; the secret is not in it."""

    id: str
    """`k-` and 8 hexadecimal digits."""
    name: str
    role: Role
    created_at: datetime
    created_by: str
    revoked_at: datetime | None
    last_used_at: datetime | None
    """To about a minute."""
    max_open_jobs: int | None
    """Jobs that have not ended, at once; None for what the service's settings say."""
    max_storage_bytes: int | None
    """Bytes of files; None for what the service's settings say."""


class Keys(Section):
    """Making, finding and revoking keys."""

    def add_key(
        self,
        name: str,
        role: Role,
        created_by: str,
        *,
        max_open_jobs: int | None = None,
        max_storage_bytes: int | None = None,
        secret: str | None = None,
    ) -> tuple[KeyRecord, str]:
        """Make a key and return it with its secret, which nobody can read again; `secret` brings one's own.

        Raises `InvalidInput` for a name without text, limits below 0, or a secret that is too short; `Conflict` for a
        secret that is there.
        """
        if not plain_text(name, "name").strip() or len(name) > 200:
            raise InvalidInput.of("name", name, "1 to 200 characters", "say whose key it is, or what for")
        limits = {
            "max_open_jobs": (max_open_jobs, LARGEST_NUMBER),
            "max_storage_bytes": (max_storage_bytes, LARGEST_SEQUENCE),
        }
        for field, (limit, largest) in limits.items():
            if limit is not None and not 0 <= limit <= largest:
                raise InvalidInput.of(field, limit, f"0 to {largest}", "leave it out for what the service allows")
        if secret is not None:
            check_secret(secret, "secret")
        secret = secret or PREFIX + secrets.token_urlsafe(32)
        values: dict[str, Any] = {
            "id": "k-" + secrets.token_hex(4),
            "name": name,
            "role": role,
            "secret_sha256": _hashed(secret),
            "created_by": plain_text(created_by, "created_by"),
            "max_open_jobs": max_open_jobs,
            "max_storage_bytes": max_storage_bytes,
        }
        with self._database.write() as connection:
            lock_until_commit(connection, KEY_LOCK)
            if _with_secret(connection, secret) is not None:
                raise Conflict("There is a key with this secret, perhaps a revoked one: take another secret.")
            values["created_at"] = Database.now(connection)
            row = connection.execute(insert(api_keys).values(values).returning(api_keys)).one()
            return _record(row), secret

    def key_of_secret(self, secret: str) -> KeyRecord | None:
        """Return the key that has this secret and is not revoked, if there is one."""
        with self._database.read() as connection:
            row = _with_secret(connection, secret)
        return None if row is None or row.revoked_at is not None else _record(row)

    def api_keys(self) -> list[KeyRecord]:
        """Return every key, the revoked ones too, in the order in which they were made."""
        with self._database.read() as connection:
            return [_record(row) for row in connection.execute(select(api_keys).order_by(api_keys.c.created_at))]

    def revoke_key(self, key_id: str) -> KeyRecord:
        """Let a key open nothing any more; one that is revoked stays so.

        Raises `NotFound`, and `Conflict` for the last key of an administrator.
        """
        with self._database.write() as connection:
            lock_until_commit(connection, KEY_LOCK)
            row = connection.execute(select(api_keys).where(api_keys.c.id == key_id)).first()
            if row is None:
                raise NotFound(f"There is no key {key_id!r}.")
            if row.revoked_at is not None:
                return _record(row)
            if row.role == Role.ADMIN and len(_active_admins(connection)) == 1:
                raise Conflict(
                    f"{key_id} is the last key of an administrator: make another one first, or nobody can manage keys."
                )
            return _record(_changed(connection, key_id, {"revoked_at": Database.now(connection)}))

    def note_use_of_key(self, key_id: str) -> None:
        """Note that a key was used now."""
        with self._database.write() as connection:
            now = Database.now(connection)
            connection.execute(update(api_keys).where(api_keys.c.id == key_id).values(last_used_at=now))

    def put_named_admin_key(self, name: str, secret: str) -> KeyRecord | None:
        """Have one key of an administrator under this name: with this secret, and with no other one any more.

        A secret that was revoked stays so: None, where another administrator has a key. Raises `InvalidInput` for a
        secret that is too short, `Conflict` for one that a lesser key has, or the only one of an administrator had.
        """
        check_secret(secret, name)
        with self._database.write() as connection:
            lock_until_commit(connection, KEY_LOCK)
            row = _with_secret(connection, secret)
            if row is not None and row.role != Role.ADMIN:
                raise Conflict(f"{name} is the secret of the key {row.id}, which has the role {row.role}.")
            if row is not None and row.revoked_at is not None:
                if not _active_admins(connection):
                    raise Conflict(f"{name} is the secret of the key {row.id}, which was revoked: set another one.")
                return None
            now = Database.now(connection)
            if row is None:
                values = {
                    "id": "k-" + secrets.token_hex(4),
                    "name": name,
                    "role": Role.ADMIN,
                    "secret_sha256": _hashed(secret),
                    "created_by": "settings",
                    "created_at": now,
                }
                row = connection.execute(insert(api_keys).values(values).returning(api_keys)).one()
            earlier = (api_keys.c.name == name) & (api_keys.c.id != row.id) & api_keys.c.revoked_at.is_(None)
            connection.execute(update(api_keys).where(earlier).values(revoked_at=now))
            return _record(row)

    def has_admin_key(self) -> bool:
        """Return whether an administrator can come in."""
        with self._database.read() as connection:
            return bool(_active_admins(connection))


def check_secret(secret: str, field: str) -> str:
    """Return a secret that a person brings; raise `InvalidInput` for one that could be guessed or not be sent."""
    if not (len(secret) >= LEAST_SECRET and secret.isascii() and secret.isprintable() and " " not in secret):
        allowed = f"at least {LEAST_SECRET} printable ASCII characters without spaces"
        raise InvalidInput.of(field, f"{len(secret)} characters", allowed, "make one with `openssl rand -hex 32`")
    return secret


def _hashed(secret: str) -> str:
    # Secrets are random and long, so that a plain hash is as good as a slow one
    return hashlib.sha256(secret.encode(errors="replace")).hexdigest()


def _with_secret(connection: Connection, secret: str) -> Row[Any] | None:
    return connection.execute(select(api_keys).where(api_keys.c.secret_sha256 == _hashed(secret))).first()


def _active_admins(connection: Connection) -> list[str]:
    active = (api_keys.c.role == Role.ADMIN) & api_keys.c.revoked_at.is_(None)
    return [key_id for (key_id,) in connection.execute(select(api_keys.c.id).where(active))]


def _changed(connection: Connection, key_id: str, changes: dict[str, Any]) -> Row[Any]:
    statement = update(api_keys).where(api_keys.c.id == key_id).values(changes)
    return connection.execute(statement.returning(api_keys)).one()


def _record(row: Row[Any]) -> KeyRecord:
    fields = {name: value for name, value in row._mapping.items() if name != "secret_sha256"}
    return KeyRecord(**fields | {"role": Role(row.role)})
