"""Files that people bring: content in chunks, so that gigabytes go in and out in little memory, under lasting names.

A name stands for one content for ever: jobs refer to it. A content that goes by several names is kept once.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, insert, select, update

from nas.errors import Conflict, NotFound, QuotaExceeded
from nas.store.database import Database, Section, insert_unless_there, lock_until_commit
from nas.store.keys import Owner
from nas.store.quotas import bytes_left
from nas.store.tables import file_chunks, file_contents, files
from nas.store.values import plain_text

CHUNK_BYTES = 1 << 20
STALE_S = 6 * 3600.0
"""An upload that has not brought a chunk for so long is given up, and removed by the next one.

A service ends by itself those that break: this is for one that was killed, and longer than a clock is set forwards.
"""
FINISH_LOCK = 0xF11E5
"""Advisory lock of PostgreSQL: one upload at a time becomes a file."""


@dataclass(frozen=True)
class FileRecord:
    """One file."""

    name: str
    sha256: str
    size_bytes: int
    created_at: datetime


class Upload:
    """A file on its way in: `write` it piece by piece, then `finish`; until that has returned it does not exist.

    `abandon` removes what was written. Used by one thread at a time.
    """

    def __init__(self, database: Database, name: str, stale_s: float = STALE_S, owner: Owner | None = None) -> None:
        self._database, self._name, self._owner = database, plain_text(name, "file"), owner
        self._digest, self._size, self._number = hashlib.sha256(), 0, 0
        self._waiting = bytearray()
        self._id: str | None = None
        with database.write() as connection:
            _remove_stale(connection, stale_s)
            # Where the name is taken only an equal content can be meant: it is compared, not written again
            self._compares = _record(connection, name) is not None
            self._left = bytes_left(connection, owner, CHUNK_BYTES)
            if not self._compares:
                self._id = uuid.uuid4().hex
                started = {
                    "id": self._id,
                    "touched_at": Database.now(connection),
                    "added_by": owner and owner.key_id,
                }
                connection.execute(insert(file_contents).values(started))

    @property
    def size_bytes(self) -> int:
        """Bytes written so far."""
        return self._size

    def write(self, piece: bytes) -> None:
        """Take the next bytes, any number. Raises `Conflict` for an upload that was given up."""
        self._digest.update(piece)
        self._size += len(piece)
        if self._left is not None and self._size > self._left and not self._compares:
            raise self._beyond_quota()
        if self._id is not None:
            self._waiting += piece
            while len(self._waiting) >= CHUNK_BYTES:
                self._write_chunk(bytes(self._waiting[:CHUNK_BYTES]))
                del self._waiting[:CHUNK_BYTES]

    def finish(self) -> tuple[FileRecord, bool]:
        """Make it a file; return it, and whether it is a new one.

        Raises `Conflict` when the name stands for another content; nothing of this one stays then.
        """
        if self._waiting:
            self._write_chunk(bytes(self._waiting))
            self._waiting.clear()
        sha256 = self._digest.hexdigest()
        with self._database.write() as connection:
            lock_until_commit(connection, FINISH_LOCK)
            found = _record(connection, self._name)
            if found is None:
                self._name_content(connection, sha256)
                left = bytes_left(connection, self._owner, CHUNK_BYTES)
                if left is not None and left < 0:
                    raise self._beyond_quota()
                found, created = _record(connection, self._name), True
            else:  # there before, or another upload of the name was quicker
                created = False
                self._remove(connection)
        assert found is not None
        self._id = None
        if found.sha256 != sha256:
            raise Conflict(
                f"There is another file {self._name!r} (sha256 {found.sha256[:12]}…, {found.size_bytes} bytes; this "
                f"one: {sha256[:12]}…, {self._size} bytes), and jobs may refer to it: give this one another name."
            )
        return found, created

    def abandon(self) -> None:
        """Remove what was written, unless it is finished."""
        if self._id is not None:
            with self._database.write() as connection:
                self._remove(connection)
            self._id = None

    def _beyond_quota(self) -> QuotaExceeded:
        assert self._owner is not None
        return QuotaExceeded(
            f"The key {self._owner.key_id} may keep files of {self._owner.max_storage_bytes} bytes, and with "
            f"{self._name!r} it would keep more: bring a smaller file, or ask an administrator for more."
        )

    def _write_chunk(self, content: bytes) -> None:
        with self._database.write() as connection:
            touched = {"touched_at": Database.now(connection)}
            statement = update(file_contents).where(file_contents.c.id == self._id).values(touched)
            if not connection.execute(statement).rowcount:
                raise Conflict(f"The upload of {self._name!r} brought nothing for too long: start it again.")
            chunk = {"content_id": self._id, "number": self._number, "content": content}
            connection.execute(insert(file_chunks).values(chunk))
            left = bytes_left(connection, self._owner, CHUNK_BYTES)  # others of this key may come in beside it
            if left is not None and left < len(content) - CHUNK_BYTES:
                raise self._beyond_quota()
        self._number += 1

    def _name_content(self, connection: Connection, sha256: str) -> None:
        same = connection.execute(select(file_contents.c.id).where(file_contents.c.sha256 == sha256)).scalar()
        if same is not None:
            self._remove(connection)
        else:
            finished = {"sha256": sha256, "size_bytes": self._size}
            statement = update(file_contents).where(file_contents.c.id == self._id).values(finished)
            if not connection.execute(statement).rowcount:
                raise Conflict(f"The upload of {self._name!r} brought nothing for too long: start it again.")
        values = {
            "name": self._name,
            "content_id": same or self._id,
            "created_at": Database.now(connection),
            "added_by": self._owner and self._owner.key_id,
        }
        insert_unless_there(connection, files, values)

    def _remove(self, connection: Connection) -> None:
        _remove_contents(connection, [self._id] if self._id else [])


class Files(Section):
    """Keeping people's files."""

    def upload(self, name: str, stale_s: float = STALE_S, owner: Owner | None = None) -> Upload:
        """Begin to keep a file; removes first what broken uploads left that have been silent for `stale_s`."""
        return Upload(self._database, name, stale_s, owner)

    def add_file(self, name: str, pieces: Iterable[bytes]) -> tuple[FileRecord, bool]:
        """Keep a file; return it and whether it is a new one. Raises `Conflict` as `Upload.finish`."""
        upload = self.upload(name)
        try:
            for piece in pieces:
                upload.write(piece)
            return upload.finish()
        finally:
            upload.abandon()

    def file(self, name: str) -> FileRecord:
        """Return a file; raise `NotFound`."""
        with self._database.read() as connection:
            record = _record(connection, name)
        if record is None:
            raise NotFound(f"There is no file {name!r}.")
        return record

    def files(self) -> list[FileRecord]:
        """Return every file, by name."""
        with self._database.read() as connection:
            records = [FileRecord(*row) for row in connection.execute(_RECORDS)]
        return sorted(records, key=lambda record: record.name)

    def file_pieces(self, name: str) -> Iterator[bytes]:
        """Yield the content of a file from its beginning, a chunk a transaction; raise `NotFound`."""
        with self._database.read() as connection:
            content_id = connection.execute(select(files.c.content_id).where(files.c.name == name)).scalar()
        if content_id is None:
            raise NotFound(f"There is no file {name!r}.")
        number = 0
        while True:
            where = (file_chunks.c.content_id == content_id, file_chunks.c.number == number)
            with self._database.read() as connection:
                content = connection.execute(select(file_chunks.c.content).where(*where)).scalar()
            if content is None:
                return
            yield bytes(content)
            number += 1


_RECORDS = select(files.c.name, file_contents.c.sha256, file_contents.c.size_bytes, files.c.created_at).join_from(
    files, file_contents
)


def _record(connection: Connection, name: str) -> FileRecord | None:
    row = connection.execute(_RECORDS.where(files.c.name == name)).first()
    return None if row is None else FileRecord(*row)


def _remove_stale(connection: Connection, stale_s: float) -> None:
    oldest = Database.now(connection) - timedelta(seconds=stale_s)
    stale = file_contents.c.sha256.is_(None) & (file_contents.c.touched_at < oldest)
    _remove_contents(connection, list(connection.execute(select(file_contents.c.id).where(stale)).scalars()))


def _remove_contents(connection: Connection, ids: list[str]) -> None:
    for content_id in ids:
        connection.execute(delete(file_chunks).where(file_chunks.c.content_id == content_id))
        connection.execute(delete(file_contents).where(file_contents.c.id == content_id))
