"""Failover addresses: candidates, health checks, what keeps them from flapping; when a withdrawal was realised."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "candidate",
        sa.Column("flexible_ip_id", sa.Uuid(), nullable=False),
        sa.Column("target_kind", sa.String(), nullable=False),
        sa.Column("target_id", sa.Uuid(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["flexible_ip_id"], ["flexible_ip.id"], name=op.f("candidate_flexible_ip_id_fkey")),
        sa.ForeignKeyConstraint(
            ["target_kind", "target_id"],
            ["target.kind", "target.id"],
            name=op.f("candidate_target_kind_target_id_fkey"),
        ),
        sa.PrimaryKeyConstraint("flexible_ip_id", "target_kind", "target_id", name=op.f("candidate_pkey")),
    )
    op.create_index("candidate_target_idx", "candidate", ["target_kind", "target_id"], unique=False)
    op.add_column("attachment", sa.Column("withdrawn_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index("attachment_operation_idx", "attachment", ["operation_id"], unique=False)
    op.add_column("flexible_ip", sa.Column("health_check", postgresql.JSONB(), nullable=True))
    op.add_column(
        "flexible_ip",
        sa.Column(
            "failovers_at", postgresql.ARRAY(sa.DateTime(timezone=True)), nullable=False, server_default=sa.text("'{}'")
        ),
    )
    op.add_column("flexible_ip", sa.Column("frozen_since", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    op.drop_column("flexible_ip", "frozen_since")
    op.drop_column("flexible_ip", "failovers_at")
    op.drop_column("flexible_ip", "health_check")
    op.drop_index("attachment_operation_idx", "attachment")
    op.drop_column("attachment", "withdrawn_at")
    op.drop_table("candidate")
