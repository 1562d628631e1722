"""The request that began an operation, by which logs are found."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("operation", sa.Column("request_id", sa.String(), nullable=True))


def downgrade() -> None:
    op.drop_column("operation", "request_id")
