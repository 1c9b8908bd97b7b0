"""Where a store may be: addresses, drivers, and databases that don't answer."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from nas.errors import InvalidInput, PocketformerError, StoreUnavailable
from nas.store.store import Store


@pytest.mark.parametrize(
    "url",
    [
        "",
        "store.db",
        "sqlite://",
        "sqlite:///",
        "sqlite:///:memory:",
        "sqlite:///file:store?mode=memory&uri=true",
        "sqlite://store.db",
        "mysql://user@host/database",
        "postgresql+psycopg2://user@host/database",
        "postgresql+psycopg://user@host",
        "postgresql+psycopg://user@host:port/database",
        "://",
        None,
        7,
    ],
)
def test_an_address_that_is_no_database_of_ours_is_invalid(url: str) -> None:
    with pytest.raises(InvalidInput, match=r"sqlite:///file\.db or postgresql\+psycopg://"):
        Store.open(url)


@pytest.mark.parametrize("scheme", ["mysql", "postgresql+psycopg2"])
def test_a_refused_address_does_not_show_its_password(scheme: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        Store.open(f"{scheme}://user:secret@host:5432/database")
    assert "secret" not in str(caught.value)


def test_postgresql_without_its_driver_names_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(PocketformerError, match=r"pip install 'pocketformer\[postgres\]'"):
        Store.open("postgresql+psycopg://user@host/database")


def test_a_server_that_does_not_answer_is_unavailable_and_its_password_stays_hidden() -> None:
    store = Store.open("postgresql+psycopg://user:secret@127.0.0.1:1/database")
    with pytest.raises(StoreUnavailable, match=r"user:\*\*\*@127\.0\.0\.1:1/database can't be used") as caught:
        store.ping()
    assert "secret" not in str(caught.value)


def test_a_file_that_cannot_be_opened_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="unable to open database file"):
        Store.open(f"sqlite:///{tmp_path}/absent/store.db").ping()


def test_a_file_that_is_no_database_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "store.db").write_text("this is a letter, not a database " * 100)
    with pytest.raises(StoreUnavailable, match="not a database"):
        Store.open(f"sqlite:///{tmp_path}/store.db").ping()


@pytest.mark.postgres
def test_a_server_that_refuses_the_connection_says_why(postgres_url: str) -> None:
    for url, reason in ((f"{postgres_url}_absent", "does not exist"), (f"{postgres_url}?nonsense=1", "nonsense")):
        with pytest.raises(StoreUnavailable, match=reason):
            Store.open(url).ping()


def test_a_store_that_answers_passes_the_ping_and_opens_again_after_a_close(store: Store) -> None:
    store.ping()
    store.close()
    store.ping()


@pytest.mark.postgres
def test_the_short_form_of_a_postgresql_address_is_taken(postgres_url: str) -> None:
    store = Store.open(postgres_url.replace("postgresql+psycopg", "postgresql"))
    store.ping()
    store.close()


@pytest.mark.postgres
def test_a_server_that_dropped_our_connections_is_connected_again(
    migrated_postgres_url: str,
) -> None:
    store, other = Store.open(migrated_postgres_url), Store.open(migrated_postgres_url)
    store.ping()
    with other._database.write() as connection:
        connection.exec_driver_sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE pid <> pg_backend_pid() AND datname = current_database()"
        )
    store.ping()
    store.close()
    other.close()


def test_names_that_no_database_can_hold_never_crash(store: Store) -> None:
    for name in ("nul \0", "surrogate \ud800"):
        for ask in (store.job, store.device, store.search_space, store.artifact):
            with pytest.raises(PocketformerError):
                ask(name)
