"""Fixtures for every tier: fresh databases on SQLite and on a real PostgreSQL, and a store over either."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from nas.store.store import Store
from nas.store.tables import metadata
from tests.integration.processes import free_port

pytest.register_assert_rewrite("store_contract", "control_contract", "keys_contract", "figures_contract")

ENGINES = [pytest.param("sqlite"), pytest.param("postgresql", marks=pytest.mark.postgres)]
INSTALL = (
    "These tests need PostgreSQL's server programs (initdb, postgres): install the package `postgresql` "
    "(Debian, Ubuntu), `postgresql-server` (Fedora) or `postgresql` (Homebrew), or deselect them with "
    "-m 'not postgres'."
)


@dataclass
class Cluster:
    """A PostgreSQL server, reached over loopback."""

    port: int
    directory: Path
    account: dict[str, Any]
    command: list[str | Path]
    environment: dict[str, str]
    numbers: Iterator[int] = field(default_factory=count)
    server: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the server, and wait until it answers."""
        log = self.directory / "log"
        with log.open("ab") as output:
            self.server = subprocess.Popen(
                self.command,
                stdout=output,
                stderr=output,
                cwd=self.directory,
                env=os.environ | self.environment,
                **self.account,
            )
        _wait_until_it_answers(self, self.server, log)

    def stop(self) -> None:
        """Stop it at once, without a checkpoint, as a crash would."""
        assert self.server is not None
        self.server.send_signal(signal.SIGQUIT)
        self.server.wait(30)

    def url(self, database: str, host: str = "127.0.0.1") -> str:
        return f"postgresql+psycopg://pocketformer@{host}:{self.port}/{database}"

    def execute(self, statement: str, database: str = "postgres") -> None:
        import psycopg  # noqa: PLC0415  (sessions without these tests need no driver)

        address = f"host=127.0.0.1 port={self.port} user=pocketformer dbname={database}"
        with psycopg.connect(address, autocommit=True) as connection:
            connection.execute(statement.encode())

    def new_database(self) -> str:
        name = f"test_{next(self.numbers)}"
        self.execute(f"CREATE DATABASE {name}")
        return name

    def drop(self, name: str) -> None:
        self.execute(f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def running_cluster(hosts: str = "127.0.0.1", environment: dict[str, str] | None = None) -> Iterator[Cluster]:
    """Start a server in a temporary directory; fails, never skips, where PostgreSQL isn't installed."""
    initdb, postgres = program("initdb"), program("postgres")
    account = _unprivileged_account()
    with tempfile.TemporaryDirectory(prefix="pocketformer-postgres-") as directory:
        data = Path(directory, "data")
        if account:
            shutil.chown(directory, account["user"], account["group"])
        options = ["--auth=trust", "--username=pocketformer", "--encoding=UTF8", "--locale=C", "--no-sync"]
        subprocess.run([initdb, "-D", data, *options], check=True, capture_output=True, cwd=directory, **account)
        port = free_port()
        # fsync is off: these databases need not survive a power cut.
        settings = [f"port={port}", f"listen_addresses={hosts}", f"unix_socket_directories={directory}"]
        settings += ["fsync=off", "max_connections=300"]
        command = [postgres, "-D", data, *(part for setting in settings for part in ("-c", setting))]
        cluster = Cluster(port, Path(directory), account, command, environment or {})
        try:
            cluster.start()
            yield cluster
        finally:
            if cluster.server is not None and cluster.server.poll() is None:
                cluster.stop()


@pytest.fixture(scope="session")
def postgres_cluster() -> Iterator[Cluster]:
    """The server of this session."""
    with running_cluster() as cluster:
        yield cluster


@pytest.fixture(scope="session")
def _migrated_postgres(postgres_cluster: Cluster) -> str:
    name = postgres_cluster.new_database()
    _migrate(postgres_cluster.url(name))
    return name


@pytest.fixture(scope="session")
def empty_sqlite_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("migrated") / "store.db"
    _migrate(f"sqlite:///{path}")
    return path


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """The address of a SQLite file that does not exist yet."""
    return f"sqlite:///{tmp_path}/fresh.db"


@pytest.fixture
def postgres_url(postgres_cluster: Cluster) -> Iterator[str]:
    """The address of a fresh, empty database on PostgreSQL."""
    name = postgres_cluster.new_database()
    yield postgres_cluster.url(name)
    postgres_cluster.drop(name)


@pytest.fixture(params=ENGINES)
def database_url(request: pytest.FixtureRequest) -> str:
    """A fresh, empty database, on each engine in turn."""
    return str(request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_url"))


@pytest.fixture
def migrated_sqlite_url(empty_sqlite_store: Path, tmp_path: Path) -> str:
    """A fresh SQLite database with all tables."""
    path = tmp_path / "store.db"
    shutil.copy(empty_sqlite_store, path)
    return f"sqlite:///{path}"


@pytest.fixture
def migrated_postgres_url(postgres_cluster: Cluster, _migrated_postgres: str) -> str:
    """A PostgreSQL database with all tables, emptied: ten times as quick as a fresh one."""
    tables = ", ".join(table.name for table in metadata.sorted_tables)
    postgres_cluster.execute(f"TRUNCATE {tables} RESTART IDENTITY", _migrated_postgres)
    return postgres_cluster.url(_migrated_postgres)


@pytest.fixture(params=ENGINES)
def store_url(request: pytest.FixtureRequest) -> str:
    """A fresh database with all tables, on each engine in turn."""
    return str(request.getfixturevalue(f"migrated_{request.param.replace('postgresql', 'postgres')}_url"))


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    """An empty, migrated store, on each engine in turn."""
    store = Store.open(store_url)
    yield store
    store.close()


def _migrate(url: str) -> None:
    store = Store.open(url)
    store.migrate()
    store.close()


def program(name: str) -> str:
    """Return the path of one of PostgreSQL's programs."""
    found = shutil.which(name)
    if found is None:
        installed = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=_major_version)
        if not installed:
            pytest.fail(f"`{name}` was not found. {INSTALL}")
        found = str(installed[-1])
    return found


def _major_version(program: Path) -> int:
    version = program.parent.parent.name
    return int(version) if version.isdigit() else 0


def _unprivileged_account() -> dict[str, Any]:
    """Return how to start a process that isn't root, as PostgreSQL demands; nothing when we aren't root."""
    if os.getuid() != 0:
        return {}
    try:
        entry = pwd.getpwnam("postgres")
    except KeyError:
        pytest.fail(f"root can't run PostgreSQL and there is no user `postgres`. {INSTALL}")
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": ()}


def _wait_until_it_answers(cluster: Cluster, server: subprocess.Popen[bytes], log: Path) -> None:
    import psycopg  # noqa: PLC0415

    deadline = time.monotonic() + 30
    while True:
        try:
            return cluster.execute("SELECT 1")
        except psycopg.OperationalError:
            if server.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"PostgreSQL did not start:\n{log.read_text(errors='replace')}")
            time.sleep(0.05)
