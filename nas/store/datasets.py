"""Data sets that jobs were run on: what they were, not their content."""

from __future__ import annotations

from operator import itemgetter
from typing import Any

from sqlalchemy import Row, select, update

from nas.errors import NotFound
from nas.store.database import Database, Section, insert_unless_there
from nas.store.tables import datasets
from nas.store.values import plain, plain_text


class Datasets(Section):
    """Keeping the description of data sets by name."""

    def put_dataset(self, name: str, version: str, sha256: str, document: dict[str, Any]) -> None:
        """Keep a data set's description under its name, in place of an earlier one."""
        changes: dict[str, Any] = {
            "version": plain_text(version, "dataset.version"),
            "sha256": plain_text(sha256, "dataset.sha256"),
            "document": plain(document, "dataset"),
        }
        with self._database.read() as connection:
            row = connection.execute(select(datasets).where(datasets.c.name == name)).first()
        if row is not None and all(row._mapping[column] == value for column, value in changes.items()):
            return  # as at nearly every submission of a job: nobody has to wait for the disk then
        with self._database.write() as connection:
            changes["updated_at"] = Database.now(connection)
            values = {"name": plain_text(name, "dataset.name"), **changes}
            if not insert_unless_there(connection, datasets, values):
                connection.execute(update(datasets).where(datasets.c.name == name).values(changes))

    def dataset(self, name: str) -> dict[str, Any]:
        """Return the description, with `name`, `version` and `sha256` in it; raise `NotFound`."""
        with self._database.read() as connection:
            row = connection.execute(select(datasets).where(datasets.c.name == name)).first()
        if row is None:
            raise NotFound(f"There is no data set {name!r}.")
        return _description(row)

    def datasets(self) -> list[dict[str, Any]]:
        """Return every description, by name."""
        with self._database.read() as connection:
            descriptions = [_description(row) for row in connection.execute(select(datasets))]
        return sorted(descriptions, key=itemgetter("name"))


def _description(row: Row[Any]) -> dict[str, Any]:
    return {**row.document, "name": row.name, "version": row.version, "sha256": row.sha256}
