"""What failover addresses of ports are checked by, and where they may go."""

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


def downgrade() -> None:
    for name in ("health_check", "candidates"):
        op.drop_column("port_address", name)
