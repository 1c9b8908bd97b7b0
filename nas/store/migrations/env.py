"""Run by Alembic: the revisions, inside the transaction of the connection that `nas.store.schema` hands over."""

from __future__ import annotations

from typing import Any, Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext

from nas.store.tables import UtcDateTime, metadata


def render_plainly(kind: str, item: Any, _context: AutogenContext) -> str | Literal[False]:
    """Write our type as the one below it: a revision must not change when our code does."""
    return "sa.DateTime(timezone=True)" if kind == "type" and isinstance(item, UtcDateTime) else False


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_item=render_plainly,
    render_as_batch=True,  # SQLite alters a table by copying it
)
with context.begin_transaction():
    context.run_migrations()
