"""One database: its address, its connections, its transactions and its clock."""

from __future__ import annotations

import os
import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import URL, Connection, Engine, Table, create_engine, event, func, make_url, select, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError, InterfaceError, InternalError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from nas.errors import InvalidInput, PocketformerError, StoreUnavailable

BUSY_TIMEOUT_MS = 30_000
"""How long a writer waits for the others: for SQLite's one lock, or for the rows that it wants of PostgreSQL."""
IDLE_TIMEOUT_MS = 30_000
"""How long a session of PostgreSQL may do nothing within a transaction, as that of a suspended machine does.

Then the server ends it, and what it held is free. SQLite's lock is its process's until that goes on or is killed.
"""
IDLE_TOO_LONG = "25P03"
"""PostgreSQL's code for that."""
CONNECT_TIMEOUT_S = 10
_POSTGRESQL_PATIENCE = {
    "connect_timeout": CONNECT_TIMEOUT_S,
    "tcp_user_timeout": 10_000,  # milliseconds until what was sent has to be acknowledged
    "keepalives_idle": 10,
    "keepalives_interval": 3,
    "keepalives_count": 3,
}
"""How long a network that swallows everything goes unnoticed; the system's own patience is two hours."""
ALLOWED_URLS = "sqlite:///file.db or postgresql+psycopg://user:password@host/database"


class Database:
    """Connections to one database, for any number of threads; after a fork the child makes its own.

    Every transaction is short: it holds a connection of the pool, and on SQLite the one write lock.
    """

    def __init__(self, url: str) -> None:
        parsed = parse_url(url)
        self.address = parsed.render_as_string(hide_password=True)
        self._engine = _sqlite_engine(parsed) if parsed.drivername == "sqlite" else _postgresql_engine(parsed)
        self._process_id = os.getpid()

    def read(self) -> AbstractContextManager[Connection]:
        """Open a transaction that only reads; on SQLite it waits for no writer."""
        return self._transaction("BEGIN")

    def write(self) -> AbstractContextManager[Connection]:
        """Open a transaction that may write, committed when the block ends and rolled back when it raises.

        On SQLite it takes the write lock at once: a transaction that reads first and asks for the lock later
        fails whenever another one wrote in between.
        """
        return self._transaction("PRAGMA foreign_keys = ON", "BEGIN IMMEDIATE")

    @contextmanager
    def alter(self) -> Iterator[Connection]:
        """Open a transaction that may change the schema: like `write`, with SQLite's foreign keys unchecked.

        SQLite alters a table by copying and dropping it, which no row may refer to then; the caller checks the
        keys before the end. PostgreSQL lets it take its time.
        """
        with self._transaction("PRAGMA foreign_keys = OFF", "BEGIN IMMEDIATE") as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(text("SET LOCAL lock_timeout = 0"))
                connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
            yield connection

    @contextmanager
    def _transaction(self, *sqlite_begin: str) -> Iterator[Connection]:
        if self._process_id != os.getpid():  # forked: the parent's connections are not ours to use or close
            self._engine.dispose(close=False)
            self._process_id = os.getpid()
        try:
            with self._connect() as connection:
                connection.execution_options(sqlite_begin=sqlite_begin)
                with connection.begin():
                    yield connection
        except (OperationalError, InterfaceError) as error:
            raise self._unavailable(error) from error
        except InternalError as error:
            if getattr(error.orig, "sqlstate", None) != IDLE_TOO_LONG:
                raise
            raise self._unavailable(error) from error
        except (DataError, UnicodeEncodeError) as error:
            raise InvalidInput.of(
                "value", _reason(error), "text without NUL characters, numbers in range", "correct it"
            ) from error

    def _connect(self) -> Connection:
        try:
            return self._engine.connect()
        except (DBAPIError, PoolTimeout) as error:
            raise self._unavailable(error) from error

    def _unavailable(self, error: Exception) -> StoreUnavailable:
        return StoreUnavailable(f"The database {self.address} can't be used: {_reason(error)}")

    @staticmethod
    def now(connection: Connection) -> datetime:
        """Return the present instant by the clock that all workers on this database share."""
        if connection.dialect.name == "sqlite":
            return datetime.now(UTC)
        now: datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
        return now.astimezone(UTC)

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()


def parse_url(url: str) -> URL:
    """Return the parsed address of a supported database; raise `InvalidInput`, passwords hidden."""
    try:
        parsed = make_url(url)
        problem = _problem(parsed)
    except (ArgumentError, ValueError, AttributeError, TypeError):
        problem = "write it as one of these"
    if problem:
        shown = re.sub(r"//[^/]*@", "//***@", str(url))
        raise InvalidInput.of("database", shown, ALLOWED_URLS, problem)
    return parsed.set(drivername=_DRIVERS[parsed.drivername])


_DRIVERS = {
    "sqlite": "sqlite",
    "sqlite+pysqlite": "sqlite",
    "postgresql": "postgresql+psycopg",
    "postgresql+psycopg": "postgresql+psycopg",
}


def _problem(url: URL) -> str | None:
    if url.drivername not in _DRIVERS:
        return "use SQLite or PostgreSQL"
    if not _DRIVERS[url.drivername].startswith("sqlite"):
        return None if url.database else "name the database after the last slash"
    if not url.database or url.database.startswith((":", "file:")):
        return "name a file: a database in memory is lost with its connection"
    if url.host:
        return "use three slashes before a relative path, four before an absolute one"
    return None


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Switch a file to write-ahead logging.

    SQLite refuses that at once, whatever the busy timeout, where another process is about to do the same.
    """
    until = time.monotonic() + BUSY_TIMEOUT_MS / 1000
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
        time.sleep(0.01)


def _sqlite_engine(url: URL) -> Engine:
    engine = create_engine(url, pool_size=8, max_overflow=32)

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # we begin transactions ourselves, see below
        connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        _write_ahead(connection)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        for statement in connection.get_execution_options()["sqlite_begin"]:
            connection.exec_driver_sql(statement)

    return engine


def _postgresql_engine(url: URL) -> Engine:
    patience = {name: value for name, value in _POSTGRESQL_PATIENCE.items() if name not in url.query}
    try:
        engine = create_engine(url, pool_size=8, max_overflow=32, pool_pre_ping=True, connect_args=patience)
    except ImportError as error:
        raise PocketformerError(
            "PostgreSQL needs the package psycopg: run `pip install 'pocketformer[postgres]'`, "
            f"or use SQLite ({error})."
        ) from error

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        # Not among the connection's options, which some poolers between us and the server refuse
        connection.autocommit = True
        connection.execute(f"SET lock_timeout = {BUSY_TIMEOUT_MS}")
        connection.execute(f"SET idle_in_transaction_session_timeout = {IDLE_TIMEOUT_MS}")
        connection.autocommit = False

    return engine


def _reason(error: Exception) -> str:
    return str(error.orig if isinstance(error, DBAPIError) else error).strip()


def insert_unless_there(connection: Connection, table: Table, values: dict[str, Any]) -> bool:
    """Insert a row and return True, or return False when a unique column already has its value.

    Atomic on both engines; on PostgreSQL it waits for another transaction that is inserting the same value.
    """
    insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    statement = insert(table).values(values).on_conflict_do_nothing().returning(*table.primary_key.columns)
    return connection.execute(statement).first() is not None


def lock_until_commit(connection: Connection, number: int, *, shared: bool = False) -> None:
    """Let no other transaction past the same point until this one ends; SQLite's writers are alone anyway.

    Those that ask for the lock shared let each other past.
    """
    if connection.dialect.name == "postgresql":
        lock = "pg_advisory_xact_lock_shared" if shared else "pg_advisory_xact_lock"
        connection.execute(text(f"SELECT {lock}(:number)"), {"number": number})


class Section:
    """One noun's part of the store. All parts of one store share its database."""

    def __init__(self, database: Database) -> None:
        self._database = database
