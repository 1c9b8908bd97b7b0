"""People's files on their way into the store, and what is told of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from nas.quality.datasets.own.document import check_file_name, format_of
from nas.quality.datasets.own.looking import look_at_beginning
from nas.store.files import CHUNK_BYTES, FileRecord
from nas.store.keys import Owner
from nas.store.store import Store


class Intake:
    """A file that comes piece by piece; its beginning is looked at before it counts."""

    def __init__(self, store: Store, name: str, owner: Owner | None = None) -> None:
        """`owner` is whose file it counts as. Raises `InvalidInput` for a name that is none."""
        self._name = check_file_name(name)
        self._upload = store.upload(name, owner=owner)
        self._first = bytearray()

    def take(self, piece: bytes) -> None:
        """Take the next bytes. Raises `QuotaExceeded`."""
        if len(self._first) < CHUNK_BYTES:
            self._first += piece[: CHUNK_BYTES - len(self._first)]
        self._upload.write(piece)

    def finish(self) -> tuple[dict[str, Any], bool]:
        """Keep the file; return what is told of it, and whether it is a new one.

        Raises `InvalidInput` where its beginning is no text or no table, `Conflict` where its name stands for another
        content; nothing is kept then.
        """
        first, whole = bytes(self._first), self._upload.size_bytes == len(self._first)
        if format_of(self._name) is None:  # of any format that a job may say it has, the file is text
            look_at_beginning(first, "txt", whole=whole)
        found = _beginning(self._name, first, whole)
        record, created = self._upload.finish()
        return _described(record) | found, created

    def abandon(self) -> None:
        """Remove what was kept so far, unless the file is finished."""
        self._upload.abandon()


def add_file(store: Store, name: str, pieces: Iterable[bytes]) -> tuple[dict[str, Any], bool]:
    """Keep a file from its pieces; see `Intake`."""
    intake = Intake(store, name)
    try:
        for piece in pieces:
            intake.take(piece)
        return intake.finish()
    finally:
        intake.abandon()


def describe_files(store: Store) -> list[dict[str, Any]]:
    """Return every file by name, without what is in it."""
    return [_described(record) for record in store.files()]


def describe_file(store: Store, name: str) -> dict[str, Any]:
    """Return one file with its columns and first rows; raise `NotFound`."""
    record = store.file(name)
    first = next(store.file_pieces(name), b"")
    return _described(record) | _beginning(name, first, len(first) == record.size_bytes)


def _beginning(name: str, first: bytes, whole: bool) -> dict[str, Any]:
    form = format_of(name)
    if form is None:  # the job says which format it has, and only then it can be read
        return {"columns": [], "first_rows": []}
    return look_at_beginning(first, form, whole=whole)


def _described(record: FileRecord) -> dict[str, Any]:
    return {
        "name": record.name,
        "sha256": record.sha256,
        "size_bytes": record.size_bytes,
        "created_at": record.created_at.isoformat().replace("+00:00", "Z"),
        "format": format_of(record.name),
    }
