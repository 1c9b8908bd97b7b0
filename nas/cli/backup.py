"""`nas backup`: a copy of everything that is kept."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nas.cli.options import DEFAULT_DATABASE, DatabaseOption, example, writing


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("backup", epilog=example("nas backup pocketformer-backup.db"))(backup)


def backup(
    out: Annotated[Path, typer.Argument(metavar="FILE", help="Where to write it; a file that is not there yet.")],
    database: DatabaseOption = DEFAULT_DATABASE,
) -> None:
    """Copy a database as it is at one moment, while the service goes on.

    Of SQLite the copy is a database: to restore it, stop the service and put it in the place of the other one. Of
    PostgreSQL it is an archive: restore it into an empty database with `pg_restore --no-owner --dbname ADDRESS FILE`.
    """
    from rich.console import Console

    from nas.store.backup import back_up

    with writing("out", out), Console(stderr=True).status(f"Copying to {out} …"):
        back_up(database, out)
    print(f"{out}: {out.stat().st_size:,} bytes")
