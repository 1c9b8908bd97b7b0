"""Where devices and search spaces are kept: in a database here, or at a server. One face for both."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from nas.cli.options import opened_client, opened_store

if TYPE_CHECKING:
    from nas.store.store import Store

Document = dict[str, Any]
COMMAND_LINE = "command line"
"""Who does what is done in a database, in its log."""


class Place(Protocol):
    """What `nas.client.Client` and a database have in common; the shapes are the REST API's."""

    def search_spaces(self) -> list[Document]:
        """Return every search space."""

    def search_space(self, name: str) -> Document:
        """Return one search space."""

    def devices(self) -> list[Document]:
        """Return every device with the summaries of its tables."""

    def device(self, name: str) -> Document:
        """Return one device with the summaries of its tables."""

    def add_device(self, document: Mapping[str, Any]) -> Document:
        """Add a device, or state anew what it is."""

    def add_latency_table(self, device: str, document: Mapping[str, Any]) -> Document:
        """Add a latency table as the device's next version; return its summary."""

    def latency_table(self, device: str, version: int) -> Document:
        """Return one whole latency table."""

    def files(self) -> list[Document]:
        """Return every file that was brought."""

    def file(self, name: str) -> Document:
        """Return one file that was brought, with its columns and first rows."""

    def add_file(self, name: str, pieces: Iterator[bytes], size_bytes: int) -> Document:
        """Keep a file; return what is told of it."""

    def score(self, architecture: Mapping[str, Any], workload: Mapping[str, Any], devices: Sequence[str]) -> Document:
        """Return costs and predicted latencies of one architecture."""

    def api_keys(self) -> list[Document]:
        """Return every key, without secrets."""

    def create_key(self, document: Mapping[str, Any]) -> Document:
        """Make a key; its `secret` is in the answer and nowhere else."""

    def revoke_key(self, key_id: str) -> Document:
        """Let a key open nothing any more."""

    def audit(self, before: int | None, limit: int) -> Document:
        """Return who did what, newest first."""


class Database:
    """A database as a place."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def search_spaces(self) -> list[Document]:
        """Return every search space."""
        from nas.jobs.inventory import describe_spaces

        return describe_spaces(self._store)

    def search_space(self, name: str) -> Document:
        """Return one search space."""
        from nas.jobs.inventory import describe_space

        return describe_space(self._store, name)

    def devices(self) -> list[Document]:
        """Return every device with the summaries of its tables."""
        from nas.jobs.inventory import describe_devices

        return describe_devices(self._store)

    def device(self, name: str) -> Document:
        """Return one device with the summaries of its tables."""
        from nas.jobs.inventory import describe_device

        return describe_device(self._store, name)

    def add_device(self, document: Mapping[str, Any]) -> Document:
        """Add a device, or state anew what it is."""
        from nas.jobs.inventory import add_device

        return add_device(self._store, dict(document))[0]

    def add_latency_table(self, device: str, document: Mapping[str, Any]) -> Document:
        """Add a latency table as the device's next version; return its summary."""
        from nas.jobs.inventory import add_table

        return add_table(self._store, device, dict(document))

    def latency_table(self, device: str, version: int) -> Document:
        """Return one whole latency table."""
        return self._store.latency_table(device, version).document or {}

    def files(self) -> list[Document]:
        """Return every file that was brought."""
        from nas.jobs.files import describe_files

        return describe_files(self._store)

    def file(self, name: str) -> Document:
        """Return one file that was brought, with its columns and first rows."""
        from nas.jobs.files import describe_file

        return describe_file(self._store, name)

    def add_file(self, name: str, pieces: Iterator[bytes], size_bytes: int) -> Document:  # noqa: ARG002  (a server's)
        """Keep a file; return what is told of it."""
        from nas.jobs.files import add_file

        return add_file(self._store, name, pieces)[0]

    def score(self, architecture: Mapping[str, Any], workload: Mapping[str, Any], devices: Sequence[str]) -> Document:
        """Return costs and predicted latencies of one architecture."""
        from nas.architecture import Architecture
        from nas.documents import validate
        from nas.jobs.score import score
        from nas.workload import Workload

        parsed = validate(Workload, dict(workload), "workload")
        return score(self._store, Architecture.from_dict(dict(architecture)), parsed, list(devices))

    def api_keys(self) -> list[Document]:
        """Return every key, without secrets."""
        from nas.jobs.access import describe_keys

        return describe_keys(self._store)

    def create_key(self, document: Mapping[str, Any]) -> Document:
        """Make a key; its `secret` is in the answer and nowhere else."""
        from nas.jobs.access import create_key

        key = create_key(self._store, dict(document), COMMAND_LINE)
        self._note("nas keys create", key["id"])
        return key

    def revoke_key(self, key_id: str) -> Document:
        """Let a key open nothing any more."""
        from nas.jobs.access import describe_key

        key = describe_key(self._store.revoke_key(key_id))
        self._note("nas keys revoke", key_id)
        return key

    def audit(self, before: int | None, limit: int) -> Document:
        """Return who did what, newest first."""
        from nas.jobs.access import describe_audit

        return describe_audit(self._store, before, limit)

    def _note(self, action: str, subject: str) -> None:
        self._store.add_audit_entry(COMMAND_LINE, action, subject, 0)


@contextmanager
def opened_place(url: str | None, database: str) -> Iterator[Place]:
    """Open the server if its address was given, else the database, and close it again."""
    if url is not None:
        with opened_client(url) as client:
            yield client
    else:
        with opened_store(database) as store:
            yield Database(store)
