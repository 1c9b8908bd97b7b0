"""Keys of the API, who submitted what, and the log of who did what."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

INSTANT = sa.DateTime(timezone=True)
COUNTER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "api_keys",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("secret_sha256", sa.String(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("created_by", sa.String(), nullable=False),
        sa.Column("revoked_at", INSTANT),
        sa.Column("last_used_at", INSTANT),
        sa.Column("max_open_jobs", sa.Integer()),
        sa.Column("max_storage_bytes", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id", name="pk_api_keys"),
        sa.UniqueConstraint("secret_sha256", name="uq_api_keys_secret_sha256"),
    )
    op.create_table(
        "audit_entries",
        sa.Column("sequence", COUNTER, nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("key_id", sa.String()),
        sa.Column("who", sa.String(), nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("path", sa.String(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("client", sa.String()),
        sa.Column("request_id", sa.String()),
        sa.PrimaryKeyConstraint("sequence", name="pk_audit_entries"),
        sqlite_autoincrement=True,
    )
    op.add_column("jobs", sa.Column("submitted_by", sa.String()))
    op.create_index("ix_jobs_submitted_by_state", "jobs", ["submitted_by", "state"])
    op.add_column("files", sa.Column("added_by", sa.String()))
    op.add_column("file_contents", sa.Column("added_by", sa.String()))


def downgrade() -> None:
    op.drop_column("file_contents", "added_by")
    op.drop_column("files", "added_by")
    op.drop_index("ix_jobs_submitted_by_state", "jobs")
    op.drop_column("jobs", "submitted_by")
    op.drop_table("audit_entries")
    op.drop_table("api_keys")
