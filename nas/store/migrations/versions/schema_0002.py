"""What a job keeps of being finished: architectures of its search that were trained in full."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0002"
down_revision = "0001"

DOCUMENT = sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("jobs", sa.Column("search_ended", DOCUMENT))
    op.add_column("jobs", sa.Column("finish", DOCUMENT))
    op.create_table(
        "retrainings",
        sa.Column("job_id", sa.String(), nullable=False),
        sa.Column("trial", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("steps", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("seed", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("scores", DOCUMENT, nullable=False),
        sa.Column("test_metrics", DOCUMENT),
        sa.Column("error", sa.String()),
        sa.Column("weights_sha256", sa.String()),
        sa.Column("started_at", INSTANT, nullable=False),
        sa.Column("finished_at", INSTANT),
        sa.Column("duration_s", sa.Float(), nullable=False),
        sa.Column("training", DOCUMENT),
        sa.PrimaryKeyConstraint("job_id", "trial", "steps", "seed", name="pk_retrainings"),
        sa.ForeignKeyConstraint(
            ["job_id", "trial"], ["trials.job_id", "trials.number"], name="fk_retrainings_job_id_trial_trials"
        ),
        sa.ForeignKeyConstraint(
            ["weights_sha256"], ["artifacts.sha256"], name="fk_retrainings_weights_sha256_artifacts"
        ),
    )


def downgrade() -> None:
    op.drop_table("retrainings")
    with op.batch_alter_table("jobs") as jobs:
        jobs.drop_column("finish")
        jobs.drop_column("search_ended")
