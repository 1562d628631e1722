"""Nodes that are held apart, and what is done to a node as a whole."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

JSONB = postgresql.JSONB(astext_type=sa.Text())
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("node", sa.Column("fence", JSONB, nullable=True))
    op.add_column("node", sa.Column("fenced_at", TIME, nullable=True))
    op.add_column("node", sa.Column("neighbours", JSONB, nullable=False, server_default=sa.text("'[]'")))
    op.alter_column("node", "neighbours", server_default=None)
    op.add_column("heartbeat", sa.Column("fabric", sa.Boolean(), nullable=True))
    op.create_table(
        "node_work",
        sa.Column("node_id", sa.Uuid(), nullable=False),
        sa.Column("operation_id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("concurrency", sa.Integer(), nullable=False),
        sa.Column("paused", sa.Boolean(), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("started_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["node_id"], ["node.id"], name="fk_node_work_node_id"),
        sa.ForeignKeyConstraint(["operation_id"], ["operation.id"], name="fk_node_work_operation_id"),
        sa.PrimaryKeyConstraint("node_id", name="pk_node_work"),
        sa.UniqueConstraint("operation_id", name="uq_node_work_operation_id"),
    )


def downgrade() -> None:
    op.drop_table("node_work")
    op.drop_column("heartbeat", "fabric")
    for name in ("neighbours", "fenced_at", "fence"):
        op.drop_column("node", name)
