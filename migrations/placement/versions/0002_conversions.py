"""Conversions of zones, by waves of ports; legacy prefixes that the ledger takes over."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

JSONB = postgresql.JSONB(astext_type=sa.Text())
TIME = sa.DateTime(timezone=True)


def add(table: str, name: str, kind: sa.types.TypeEngine, value: str) -> None:
    """A column that rows already there get `value` in; those that come bring their own."""
    op.add_column(table, sa.Column(name, kind, nullable=False, server_default=sa.text(value)))
    op.alter_column(table, name, server_default=None)


def upgrade() -> None:
    add("zone", "nat_closed", sa.Boolean(), "false")
    op.add_column("port", sa.Column("ledger_mode", sa.String(), nullable=True))
    op.execute("UPDATE port SET ledger_mode = mode")
    op.alter_column("port", "ledger_mode", nullable=False)
    add("port", "gives_up_ipv4", sa.Boolean(), "false")
    op.create_index("ix_port_limits", "port", ["id"], postgresql_where=sa.text("ledger_mode <> mode"))
    op.alter_column("node_address", "port_id", nullable=True)
    add("node_address", "carried", sa.Boolean(), "false")
    add("claim", "entered_at", TIME, "now()")
    add("claim", "wave", sa.String(), "''")
    op.create_index("ix_claim_wave", "claim", ["wave"])
    add("claim", "answered", JSONB, "'{}'")
    op.drop_index("ix_operation_unfinished", table_name="operation")
    op.create_table(
        "conversion",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("zone", sa.String(), nullable=False),
        sa.Column("project", sa.String(), nullable=False),
        sa.Column("phase", sa.String(), nullable=False),
        sa.Column("through", sa.String(), nullable=False),
        sa.Column("from_stack", sa.String(), nullable=False),
        sa.Column("operation_id", sa.String(), nullable=True),
        sa.Column("paused", JSONB, nullable=False),
        sa.Column("in_flight", sa.Integer(), nullable=False),
        sa.Column("failure_budget", sa.Integer(), nullable=False),
        sa.Column("soak_s", sa.Integer(), nullable=False),
        sa.Column("restarts_guests", sa.Boolean(), nullable=False),
        sa.Column("wrong_tenant_packets", JSONB, nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("phase_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["operation_id"], ["operation.id"], name="fk_conversion_operation_id"),
        sa.ForeignKeyConstraint(["zone"], ["zone.name"], name="fk_conversion_zone"),
        sa.PrimaryKeyConstraint("id", name="pk_conversion"),
    )
    op.create_index(
        "uq_conversion_zone",
        "conversion",
        ["zone"],
        unique=True,
        postgresql_where=sa.text("phase NOT IN ('done', 'aborted')"),
    )
    op.create_table(
        "wave",
        sa.Column("conversion_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("phase", sa.String(), nullable=False),
        sa.Column("started_at", TIME, nullable=True),
        sa.Column("ended_at", TIME, nullable=True),
        sa.ForeignKeyConstraint(["conversion_id"], ["conversion.id"], name="fk_wave_conversion_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("conversion_id", "number", name="pk_wave"),
    )
    op.create_table(
        "port_conversion",
        sa.Column("conversion_id", sa.Uuid(), nullable=False),
        sa.Column("port_id", sa.Uuid(), nullable=False),
        sa.Column("instance_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("wave", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("reasons", JSONB, nullable=False),
        sa.Column("planned_revision", sa.Integer(), nullable=False),
        sa.Column("operation_id", sa.String(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("probes_sent", sa.Integer(), nullable=False),
        sa.Column("probes_lost", sa.Integer(), nullable=False),
        sa.Column("checked_at", TIME, nullable=True),
        sa.Column("verified_at", TIME, nullable=True),
        sa.Column("adopted_at", TIME, nullable=True),
        sa.ForeignKeyConstraint(
            ["conversion_id"], ["conversion.id"], name="fk_port_conversion_conversion_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("conversion_id", "port_id", name="pk_port_conversion"),
    )
    op.create_index("ix_port_conversion_operation_id", "port_conversion", ["operation_id"])
    op.create_index("ix_port_conversion_wave", "port_conversion", ["conversion_id", "wave", "state"])


def downgrade() -> None:
    op.drop_table("port_conversion")
    op.drop_table("wave")
    op.drop_table("conversion")
    op.create_index(
        "ix_operation_unfinished",
        "operation",
        ["id"],
        postgresql_where=sa.text("state NOT IN ('succeeded', 'failed', 'cancelled')"),
    )
    op.drop_index("ix_claim_wave", table_name="claim")
    for name in ("answered", "wave", "entered_at"):
        op.drop_column("claim", name)
    op.drop_column("node_address", "carried")
    op.execute("DELETE FROM node_address WHERE port_id IS NULL")
    op.alter_column("node_address", "port_id", nullable=False)
    op.drop_index("ix_port_limits", table_name="port")
    op.drop_column("port", "gives_up_ipv4")
    op.drop_column("port", "ledger_mode")
    op.drop_column("zone", "nat_closed")
