"""The schema's revisions, on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Column, Integer, MetaData, inspect, text

from nas.errors import PocketformerError
from nas.store.database import Database
from nas.store.migrations.__main__ import draft
from nas.store.schema import configuration, current_revision, head_revision
from nas.store.store import Store
from nas.store.tables import metadata


@pytest.fixture
def fresh(database_url: str) -> Iterator[Store]:
    store = Store.open(database_url)
    yield store
    store.close()


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = Database(database_url)
    yield database
    database.close()


def table_names(database: Database) -> set[str]:
    with database.read() as connection:
        return set(inspect(connection).get_table_names())


def differences(database: Database, expected: MetaData) -> list[object]:
    options = {"compare_type": True, "compare_server_default": True}
    with database.read() as connection:
        return list(compare_metadata(MigrationContext.configure(connection, opts=options), expected))


def test_a_database_has_no_schema_before_the_first_migration_and_the_newest_after(fresh: Store) -> None:
    assert fresh.schema_revision() is None
    assert not fresh.is_migrated()
    fresh.migrate()
    assert fresh.schema_revision() == head_revision()
    assert fresh.is_migrated()


def test_migrating_again_keeps_everything(fresh: Store) -> None:
    fresh.migrate()
    job, _ = fresh.add_job("first", {"a": 1})
    fresh.migrate()
    assert fresh.job(job.id) == job


def test_the_revisions_make_exactly_the_tables_that_the_code_uses(fresh: Store, database: Database) -> None:
    fresh.migrate()
    assert differences(database, metadata) == []


def test_the_comparison_would_notice_a_forgotten_revision(fresh: Store, database: Database) -> None:
    fresh.migrate()
    changed = MetaData(naming_convention=metadata.naming_convention)
    for table in metadata.sorted_tables:
        table.to_metadata(changed)
    changed.tables["jobs"].append_column(Column("forgotten", Integer))
    changed.tables["trials"].indexes.clear()
    assert len(differences(database, changed)) == 1 + len(metadata.tables["trials"].indexes)


def test_the_schema_of_a_newer_release_is_refused_and_left_alone(fresh: Store, database: Database) -> None:
    fresh.migrate()
    with database.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(PocketformerError, match=rf"'9999'.*'{head_revision()}'.*newer release.*Install"):
        fresh.migrate()
    assert fresh.schema_revision() == "9999"
    assert not fresh.is_migrated()


def test_a_migration_that_fails_changes_nothing(fresh: Store, database: Database) -> None:
    with database.write() as connection:
        connection.execute(text("CREATE TABLE trials (mine INTEGER)"))
    with pytest.raises(Exception, match="trials"):
        fresh.migrate()
    assert table_names(database) == {"trials"}
    assert fresh.schema_revision() is None


def test_the_way_down_and_up_again_arrives_at_the_same_schema(fresh: Store, database: Database) -> None:
    fresh.migrate()
    with database.alter() as connection:
        command.downgrade(configuration(connection), "base")
        assert current_revision(connection) is None
    assert table_names(database) == {"alembic_version"}
    fresh.migrate()
    assert differences(database, metadata) == []


def test_rows_that_break_a_foreign_key_stop_a_migration_on_sqlite(sqlite_url: str) -> None:
    store, database = Store.open(sqlite_url), Database(sqlite_url)
    store.migrate()
    with database.alter() as connection:  # where the keys are not checked
        connection.execute(
            text("INSERT INTO events (job_id, kind, data, created_at) VALUES ('j-none', 'job', '{}', '2026-01-01')")
        )
    with pytest.raises(PocketformerError, match="foreign keys"):
        store.migrate()
    store.close()
    database.close()


def test_a_drafted_revision_is_empty_as_long_as_nothing_changed(tmp_path: Path) -> None:
    revision = draft("nothing at all", tmp_path)
    assert revision.parent == tmp_path
    written = revision.read_text()
    assert written.startswith('"""nothing at all."""')
    assert written.count("    pass\n") == 2
    compile(written, str(revision), "exec")
