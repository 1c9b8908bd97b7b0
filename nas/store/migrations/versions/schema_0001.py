"""Everything that the first release keeps."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None

DOCUMENT = sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
COUNTER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    _create_what_jobs_refer_to()
    op.create_table(
        "jobs",
        sa.Column("sequence", COUNTER, nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("idempotency_key", sa.String()),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("reason", sa.String()),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("started_at", INSTANT),
        sa.Column("finished_at", INSTANT),
        sa.Column("cancel_requested", sa.Boolean(), nullable=False),
        sa.Column("lease_owner", sa.String()),
        sa.Column("lease_token", sa.Integer(), nullable=False),
        sa.Column("lease_expires_at", INSTANT),
        sa.Column("reference", DOCUMENT),
        sa.Column("document", DOCUMENT, nullable=False),
        sa.PrimaryKeyConstraint("sequence", name="pk_jobs"),
        sa.UniqueConstraint("id", name="uq_jobs_id"),
        sa.UniqueConstraint("idempotency_key", name="uq_jobs_idempotency_key"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_jobs_state_sequence", "jobs", ["state", "sequence"])
    op.create_table(
        "artifacts",
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("sha256", name="pk_artifacts"),
    )
    op.create_table(
        "trials",
        sa.Column("job_id", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("skip_reason", sa.String()),
        sa.Column("same_as", sa.Integer()),
        sa.Column("architecture_id", sa.String(), nullable=False),
        sa.Column("metrics", DOCUMENT, nullable=False),
        sa.Column("violations", DOCUMENT, nullable=False),
        sa.Column("error", sa.String()),
        sa.Column("weights_sha256", sa.String()),
        sa.Column("started_at", INSTANT, nullable=False),
        sa.Column("finished_at", INSTANT),
        sa.Column("duration_s", sa.Float()),
        sa.Column("architecture", DOCUMENT, nullable=False),
        sa.Column("sampler", DOCUMENT, nullable=False),
        sa.Column("training", DOCUMENT),
        sa.PrimaryKeyConstraint("job_id", "number", name="pk_trials"),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name="fk_trials_job_id_jobs"),
        sa.ForeignKeyConstraint(["weights_sha256"], ["artifacts.sha256"], name="fk_trials_weights_sha256_artifacts"),
    )
    op.create_index("ix_trials_job_id_state_number", "trials", ["job_id", "state", "number"])
    op.create_index("ix_trials_job_id_state_skip_reason", "trials", ["job_id", "state", "skip_reason"])
    op.create_table(
        "events",
        sa.Column("sequence", COUNTER, nullable=False),
        sa.Column("job_id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("data", DOCUMENT, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("sequence", name="pk_events"),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name="fk_events_job_id_jobs"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_events_job_id_sequence", "events", ["job_id", "sequence"])


def _create_what_jobs_refer_to() -> None:
    op.create_table(
        "search_spaces",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("document", DOCUMENT, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_search_spaces"),
    )
    op.create_table(
        "datasets",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("version", sa.String(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("document", DOCUMENT, nullable=False),
        sa.Column("updated_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_datasets"),
    )
    op.create_table(
        "devices",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("document", DOCUMENT, nullable=False),
        sa.Column("updated_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_devices"),
    )
    op.create_table(
        "latency_tables",
        sa.Column("id", COUNTER, nullable=False),
        sa.Column("device", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("workload_key", sa.String(), nullable=False),
        sa.Column("space", sa.String(), nullable=False),
        sa.Column("fingerprint", sa.String(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("summary", DOCUMENT, nullable=False),
        sa.Column("document", DOCUMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_latency_tables"),
        sa.UniqueConstraint("device", "version", name="uq_latency_tables_device_version"),
        sa.ForeignKeyConstraint(["device"], ["devices.name"], name="fk_latency_tables_device_devices"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_latency_tables_device_workload_key_space_version",
        "latency_tables",
        ["device", "workload_key", "space", "version"],
    )


def downgrade() -> None:
    for table in (
        "events",
        "trials",
        "artifacts",
        "jobs",
        "latency_tables",
        "devices",
        "datasets",
        "search_spaces",
    ):
        op.drop_table(table)
