"""Files that people bring, in chunks."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "file_contents",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("sha256", sa.String()),
        sa.Column("size_bytes", sa.BigInteger()),
        sa.Column("touched_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_file_contents"),
        sa.UniqueConstraint("sha256", name="uq_file_contents_sha256"),
    )
    op.create_table(
        "file_chunks",
        sa.Column("content_id", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("content_id", "number", name="pk_file_chunks"),
        sa.ForeignKeyConstraint(["content_id"], ["file_contents.id"], name="fk_file_chunks_content_id_file_contents"),
    )
    op.create_table(
        "files",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("content_id", sa.String(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_files"),
        sa.ForeignKeyConstraint(["content_id"], ["file_contents.id"], name="fk_files_content_id_file_contents"),
    )


def downgrade() -> None:
    for table in ("files", "file_chunks", "file_contents"):
        op.drop_table(table)
