"""`python -m nas.store.migrations "what changed"`: draft a revision from what `nas/store/tables.py` says now."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from alembic import command
from alembic.script import ScriptDirectory

from nas.store.database import Database
from nas.store.schema import MIGRATIONS, configuration, upgrade


def draft(message: str, directory: Path) -> Path:
    """Write the revision from the newest schema to the present tables into `directory`; return its path."""
    versions = dict.fromkeys([MIGRATIONS / "versions", directory])
    number = f"{len(list(ScriptDirectory(str(MIGRATIONS)).walk_revisions())) + 1:04}"
    with tempfile.TemporaryDirectory() as temporary:
        database = Database(f"sqlite:///{temporary}/newest.db")
        with database.alter() as connection:
            upgrade(connection)
            config = configuration(connection)
            config.set_main_option("file_template", "schema_%%(rev)s")
            config.set_main_option("path_separator", "newline")
            config.set_main_option("version_locations", "\n".join(map(str, versions)))
            script: Any = command.revision(
                config, message, autogenerate=True, rev_id=number, version_path=str(directory)
            )
        database.close()
    return Path(script.path)


if __name__ == "__main__":
    print(draft(" ".join(sys.argv[1:]) or "change of the schema", MIGRATIONS / "versions"))
