"""Search spaces that were submitted. A name stands for one content for ever: jobs refer to it."""

from __future__ import annotations

from operator import itemgetter
from typing import Any

from sqlalchemy import select

from nas.errors import Conflict, NotFound
from nas.store.database import Database, Section, insert_unless_there
from nas.store.tables import search_spaces
from nas.store.values import plain, plain_text


class SearchSpaces(Section):
    """Keeping search-space documents by name."""

    def add_search_space(self, document: dict[str, Any]) -> None:
        """Keep a space under its name; again with the same content changes nothing.

        Raises `Conflict` when the name stands for another content.
        """
        document = plain(document, "search_space")
        name = plain_text(document.get("name"), "search_space.name")
        with self._database.write() as connection:
            values = {"name": name, "document": document, "created_at": Database.now(connection)}
            if insert_unless_there(connection, search_spaces, values):
                return
            statement = select(search_spaces.c.document).where(search_spaces.c.name == name)
            found = connection.execute(statement).scalar_one()
        if found != document:
            raise Conflict(f"There is another search space {name!r}: give the new one another name.")

    def search_space(self, name: str) -> dict[str, Any]:
        """Return the document of that name; raise `NotFound`."""
        statement = select(search_spaces.c.document).where(search_spaces.c.name == name)
        with self._database.read() as connection:
            document: dict[str, Any] | None = connection.execute(statement).scalar_one_or_none()
        if document is None:
            raise NotFound(f"There is no search space {name!r}.")
        return document

    def search_spaces(self) -> list[dict[str, Any]]:
        """Return every document, by name."""
        with self._database.read() as connection:
            documents = list(connection.execute(select(search_spaces.c.document)).scalars())
        return sorted(documents, key=itemgetter("name"))
