"""Trials whose scores were recalled from another job's, and finding the trials of an architecture."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "recalled_trials",
        sa.Column("job_id", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("job_id", "number", name="pk_recalled_trials"),
        sa.ForeignKeyConstraint(
            ["job_id", "number"], ["trials.job_id", "trials.number"], name="fk_recalled_trials_job_id_number_trials"
        ),
    )
    op.create_index("ix_trials_architecture_id", "trials", ["architecture_id"])


def downgrade() -> None:
    op.drop_index("ix_trials_architecture_id", "trials")
    op.drop_table("recalled_trials")
