"""The schema's revisions: which one a database has, and bringing it to the newest."""

from __future__ import annotations

from pathlib import Path
from threading import Lock

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from nas.errors import PocketformerError
from nas.store.database import lock_until_commit

MIGRATIONS = Path(__file__).parent / "migrations"
SCHEMA_LOCK = 0x5C4E3A
"""Advisory lock of PostgreSQL: one process at a time changes the schema."""

_one_thread = Lock()  # Alembic's environment is global to the process


def upgrade(connection: Connection) -> None:
    """Apply the missing revisions in the caller's transaction, one of `Database.alter`.

    Raises `PocketformerError` for a schema that a newer release made.
    """
    lock_until_commit(connection, SCHEMA_LOCK)
    with _one_thread:
        revision = current_revision(connection)
        if revision is not None and revision not in _known_revisions():
            raise PocketformerError(
                f"The database has schema {revision!r}, which this release doesn't know (its newest is "
                f"{head_revision()!r}): a newer release wrote it. Install that release, or use another database."
            )
        command.upgrade(configuration(connection), "head")
        if connection.dialect.name == "sqlite":  # unchecked while it was altered, see `Database.alter`
            broken = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchmany(3)
            if broken:
                raise PocketformerError(f"The migration would break foreign keys: {broken}. Nothing was changed.")


def current_revision(connection: Connection) -> str | None:
    """Return the revision that the database has; None when it has no tables of ours."""
    return MigrationContext.configure(connection).get_current_revision()


def head_revision() -> str | None:
    """Return the newest revision that this release knows."""
    return ScriptDirectory(str(MIGRATIONS)).get_current_head()


def configuration(connection: Connection) -> Config:
    """Return Alembic's configuration for work on `connection`."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def _known_revisions() -> set[str]:
    return {script.revision for script in ScriptDirectory(str(MIGRATIONS)).walk_revisions()}
