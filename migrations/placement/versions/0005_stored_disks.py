"""Disks of stopped instances in an object store."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "stored_disk",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("port_id", sa.Uuid(), nullable=True),
        sa.Column("zone", sa.String(), nullable=False),
        sa.Column("url", sa.String(), nullable=False),
        sa.Column("digest", sa.String(), nullable=True),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("left_out", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["port_id"], ["port.id"], name="fk_stored_disk_port_id", ondelete="SET NULL"),
        sa.ForeignKeyConstraint(["zone"], ["zone.name"], name="fk_stored_disk_zone"),
        sa.PrimaryKeyConstraint("id", name="pk_stored_disk"),
        sa.UniqueConstraint("port_id", name="uq_stored_disk_port_id"),
        sa.UniqueConstraint("url", name="uq_stored_disk_url"),
    )


def downgrade() -> None:
    op.drop_table("stored_disk")
