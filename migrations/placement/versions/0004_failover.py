"""How failover addresses of ports are checked, and where they may go; addresses that edges hold apart from a node."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

JSONB = postgresql.JSONB(astext_type=sa.Text())


def upgrade() -> None:
    op.add_column("port_address", sa.Column("candidates", JSONB, nullable=False, server_default=sa.text("'[]'")))
    op.alter_column("port_address", "candidates", server_default=None)
    op.add_column("port_address", sa.Column("health_check", JSONB, nullable=True))
    op.create_table(
        "address_fence",
        sa.Column("node_id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("port_id", sa.Uuid(), nullable=False),
        sa.Column("realized", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["node_id"], ["node.id"], name="fk_address_fence_node_id"),
        sa.PrimaryKeyConstraint("node_id", "key", name="pk_address_fence"),
        sa.UniqueConstraint("id", name="uq_address_fence_id"),
    )


def downgrade() -> None:
    op.drop_table("address_fence")
    for name in ("health_check", "candidates"):
        op.drop_column("port_address", name)
