"""What an agent held back by itself, and an operator lets go."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("node", sa.Column("approved", sa.String(), nullable=True))


def downgrade() -> None:
    op.drop_column("node", "approved")
