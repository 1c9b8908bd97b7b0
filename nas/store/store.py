"""Store: everything that is kept, behind one object."""

from __future__ import annotations

from sqlalchemy import select

from nas.store import schema
from nas.store.artifacts import Artifacts
from nas.store.audit import Audit
from nas.store.database import Database
from nas.store.datasets import Datasets
from nas.store.devices import Devices
from nas.store.events import Events
from nas.store.figures import Figures
from nas.store.files import Files
from nas.store.job_control import JobControl
from nas.store.jobs import Jobs
from nas.store.keys import Keys
from nas.store.retrainings import Retrainings
from nas.store.search_spaces import SearchSpaces
from nas.store.trials import Trials


class Store(
    Jobs,
    JobControl,
    Trials,
    Retrainings,
    Events,
    Devices,
    Datasets,
    SearchSpaces,
    Artifacts,
    Files,
    Keys,
    Audit,
    Figures,
):
    """The service's memory on SQLite or PostgreSQL; the same behaviour on both.

    One store serves any number of threads; other processes open their own, or use this one after a fork. Every
    method is one transaction: it has happened whole when it returns and not at all when it raises (files are taken in
    many, see `nas.store.files`). What is returned is a copy. Each method may raise `StoreUnavailable`.
    """

    @classmethod
    def open(cls, url: str) -> Store:
        """Return the store at `sqlite:///file.db` or `postgresql+psycopg://user:password@host/database`.

        Connects at first use; makes no tables (see `migrate`). Raises `InvalidInput` for another address and
        `PocketformerError` when PostgreSQL's driver isn't installed.
        """
        return cls(Database(url))

    @property
    def address(self) -> str:
        """The database's address, its password hidden."""
        return self._database.address

    def migrate(self) -> None:
        """Bring the tables to this release's schema, all in one transaction; safe from several processes.

        Raises `PocketformerError` for a database that a newer release wrote.
        """
        with self._database.alter() as connection:
            schema.upgrade(connection)

    def schema_revision(self) -> str | None:
        """Return the schema that the database has; None before the first `migrate`."""
        with self._database.read() as connection:
            return schema.current_revision(connection)

    def is_migrated(self) -> bool:
        """Return whether the database has exactly this release's schema."""
        return self.schema_revision() == schema.head_revision()

    def ping(self) -> None:
        """Raise `StoreUnavailable` unless the database answers."""
        with self._database.read() as connection:
            connection.execute(select(1))

    def close(self) -> None:
        """Close every connection; a later call opens new ones."""
        self._database.close()
