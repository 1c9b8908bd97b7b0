"""Pausing, priorities, and finding who refers to an artifact."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column("jobs", sa.Column("pause_requested", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("jobs", sa.Column("idle_since", sa.DateTime(timezone=True)))
    op.add_column("jobs", sa.Column("idle_s", sa.Float(), nullable=False, server_default="0"))
    op.add_column("jobs", sa.Column("priority", sa.Integer(), nullable=False, server_default="0"))
    op.create_index("ix_trials_weights_sha256", "trials", ["weights_sha256"])
    op.create_index("ix_retrainings_weights_sha256", "retrainings", ["weights_sha256"])


def downgrade() -> None:
    op.drop_index("ix_retrainings_weights_sha256", "retrainings")
    op.drop_index("ix_trials_weights_sha256", "trials")
    for column in ("priority", "idle_s", "idle_since", "pause_requested"):
        op.drop_column("jobs", column)
