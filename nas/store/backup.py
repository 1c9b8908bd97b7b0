"""A copy of everything that is kept, taken while the service runs."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

from sqlalchemy import URL

from nas.errors import InvalidInput, MissingPackage, PocketformerError, StoreUnavailable
from nas.store.database import parse_url

PG_DUMP = "pg_dump"
_UNFINISHED = ".unfinished"


class BackupFailed(PocketformerError):
    """The backup was not made."""


def back_up(address: str, target: Path) -> None:
    """Write a copy of a database as it is at one moment; others may write to it meanwhile.

    Of SQLite it is a database again, checked whole; of PostgreSQL an archive for `pg_restore`, made by its `pg_dump`.
    The file has its name only when it is whole. Raises `InvalidInput` for an address or a target that can't be used,
    `MissingPackage` where there is no `pg_dump`, `StoreUnavailable`, and `BackupFailed`.
    """
    url = parse_url(address)
    if target.exists():
        raise InvalidInput.of("out", str(target), "a file that is not there yet", "name another, or move this one away")
    unfinished = target.with_name(target.name + _UNFINISHED)
    unfinished.unlink(missing_ok=True)
    try:
        if url.drivername == "sqlite":
            _copy_sqlite(Path(str(url.database)), unfinished)
        else:
            _dump_postgresql(url, unfinished)
        os.replace(unfinished, target)
    finally:
        unfinished.unlink(missing_ok=True)


def _copy_sqlite(source: Path, target: Path) -> None:
    if not source.is_file():
        raise InvalidInput.of("database", str(source), "a database that is there", "check the path")
    target.touch(mode=0o600)  # it holds what the database does
    try:
        with closing(_opened(source, "ro")) as old, closing(_opened(target, "rw")) as new:
            old.backup(new)  # in one step, so in one read transaction
            found = new.execute("PRAGMA integrity_check").fetchone()[0]
    except sqlite3.Error as error:
        raise StoreUnavailable(f"{source} can't be copied: {error}") from error
    if found != "ok":
        raise BackupFailed(f"the copy of {source} is not whole: {found}")


def _opened(path: Path, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode={mode}", uri=True)


def _dump_postgresql(url: URL, target: Path) -> None:
    if shutil.which(PG_DUMP) is None:
        raise MissingPackage(
            f"A backup of PostgreSQL needs its program {PG_DUMP}: install the package `postgresql-client`, of at least "
            "the server's version."
        )
    target.touch(mode=0o600)
    without_password = url.set(drivername="postgresql", password=None).render_as_string(hide_password=False)
    password = {"PGPASSWORD": url.password} if url.password else {}
    done = subprocess.run(
        [PG_DUMP, "--format=custom", "--no-owner", "--file", str(target), "--dbname", without_password],
        env=os.environ | password,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise BackupFailed(f"{PG_DUMP} failed: {' '.join(done.stderr.split())}")
