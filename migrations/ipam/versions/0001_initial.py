"""The ledger's first schema."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "audit",
        sa.Column("address", postgresql.CIDR(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("flexible_ip_id", sa.Uuid(), nullable=False),
        sa.Column("project", sa.String(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("request_id", sa.String(), nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("before", postgresql.JSONB(), nullable=True),
        sa.Column("after", postgresql.JSONB(), nullable=True),
        sa.Column("previous", sa.String(), nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("address", "number", name=op.f("audit_pkey")),
    )
    op.create_index(op.f("audit_flexible_ip_id_idx"), "audit", ["flexible_ip_id"], unique=False)
    op.create_table(
        "holding",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("address", postgresql.CIDR(), nullable=False),
        sa.Column("flexible_ip_id", sa.Uuid(), nullable=False),
        sa.Column("project", sa.String(), nullable=False),
        sa.Column("target_kind", sa.String(), nullable=True),
        sa.Column("target_id", sa.Uuid(), nullable=True),
        sa.Column("held_during", postgresql.TSTZRANGE(), nullable=False),
        postgresql.ExcludeConstraint(
            (sa.column("address"), "&&"),
            (sa.column("held_during"), "&&"),
            using="gist",
            name="holding_one_holder",
            ops={"address": "inet_ops"},
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("holding_pkey")),
    )
    op.create_index(
        "holding_open_key",
        "holding",
        ["flexible_ip_id"],
        unique=True,
        postgresql_where=sa.text("upper_inf(held_during)"),
    )
    op.create_table(
        "idempotency",
        sa.Column("project", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("operation_id", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("fingerprint", sa.String(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("project", "subject", "operation_id", "key", name=op.f("idempotency_pkey")),
    )
    op.create_index(op.f("idempotency_created_at_idx"), "idempotency", ["created_at"], unique=False)
    op.create_table(
        "operation",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("resource", sa.String(), nullable=False),
        sa.Column("project", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("waiting_for", postgresql.JSONB(), nullable=True),
        sa.Column("progress", sa.Double(), nullable=False),
        sa.Column("steps", postgresql.JSONB(), nullable=False),
        sa.Column("error", postgresql.JSONB(), nullable=True),
        sa.Column("result", postgresql.JSONB(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("operation_pkey")),
    )
    op.create_index(op.f("operation_project_idx"), "operation", ["project"], unique=False)
    op.create_index(op.f("operation_resource_idx"), "operation", ["resource"], unique=False)
    op.create_table(
        "quota",
        sa.Column("project", sa.String(), nullable=False),
        sa.Column("family", sa.String(), nullable=False),
        sa.Column("granted", sa.Integer(), nullable=False),
        sa.Column("used", sa.Integer(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("used >= 0", name=op.f("quota_used_check")),
        sa.PrimaryKeyConstraint("project", "family", name=op.f("quota_pkey")),
    )
    op.create_table(
        "zone",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("region", sa.String(), nullable=False),
        sa.Column("accepts_regional", sa.Boolean(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("zone_pkey")),
    )
    op.create_table(
        "pool",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("zone", sa.String(), nullable=False),
        sa.Column("family", sa.String(), nullable=False),
        sa.Column("prefix_length", sa.Integer(), nullable=False),
        sa.Column("quarantine_seconds", sa.Integer(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["zone"], ["zone.name"], name=op.f("pool_zone_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("pool_pkey")),
        sa.UniqueConstraint("zone", "name", name=op.f("pool_zone_name_key")),
    )
    op.create_table(
        "target",
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("project", sa.String(), nullable=False),
        sa.Column("zone", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("limit_ipv4", sa.Integer(), nullable=False),
        sa.Column("limit_ipv6", sa.Integer(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("addresses_revision", sa.BigInteger(), nullable=False),
        sa.Column("realized_revision", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("realized_revision <= addresses_revision", name=op.f("target_realized_check")),
        sa.ForeignKeyConstraint(["zone"], ["zone.name"], name=op.f("target_zone_fkey")),
        sa.PrimaryKeyConstraint("kind", "id", name=op.f("target_pkey")),
    )
    op.create_index(
        "target_lagging_idx",
        "target",
        ["kind", "id"],
        unique=False,
        postgresql_where=sa.text("realized_revision < addresses_revision"),
    )
    op.create_table(
        "flexible_ip",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("project", sa.String(), nullable=False),
        sa.Column("zone", sa.String(), nullable=False),
        sa.Column("pool_id", sa.Uuid(), nullable=True),
        sa.Column("adopted_kind", sa.String(), nullable=True),
        sa.Column("adopted_id", sa.Uuid(), nullable=True),
        sa.Column("family", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("address", postgresql.CIDR(), nullable=False),
        sa.Column("interface_id", postgresql.INET(), nullable=True),
        sa.Column("name", sa.String(), nullable=True),
        sa.Column("labels", postgresql.JSONB(), nullable=False),
        sa.Column("protected", sa.Boolean(), nullable=False),
        sa.Column("released_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("quarantined_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("num_nonnulls(pool_id, adopted_id) = 1", name=op.f("flexible_ip_origin_check")),
        sa.CheckConstraint("num_nulls(adopted_kind, adopted_id) <> 1", name=op.f("flexible_ip_adopted_check")),
        sa.ForeignKeyConstraint(["pool_id"], ["pool.id"], name=op.f("flexible_ip_pool_id_fkey")),
        sa.ForeignKeyConstraint(["zone"], ["zone.name"], name=op.f("flexible_ip_zone_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("flexible_ip_pkey")),
    )
    op.create_index(
        "flexible_ip_address_key",
        "flexible_ip",
        ["address"],
        unique=True,
        postgresql_where=sa.text("released_at IS NULL"),
    )
    op.create_index(
        "flexible_ip_carried_idx",
        "flexible_ip",
        ["address"],
        unique=False,
        postgresql_where=sa.text("adopted_id IS NOT NULL"),
    )
    op.create_index(
        "flexible_ip_labels_idx",
        "flexible_ip",
        ["labels"],
        unique=False,
        postgresql_using="gin",
        postgresql_ops={"labels": "jsonb_path_ops"},
    )
    op.create_index("flexible_ip_pool_idx", "flexible_ip", ["pool_id", "id"], unique=False)
    op.create_index("flexible_ip_project_idx", "flexible_ip", ["project", "id"], unique=False)
    op.create_table(
        "prefix",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("pool_id", sa.Uuid(), nullable=True),
        sa.Column("cidr", postgresql.CIDR(), nullable=False),
        sa.Column("seeded", sa.BigInteger(), nullable=False),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        postgresql.ExcludeConstraint(
            (sa.column("cidr"), "&&"), using="gist", name="prefix_overlap", ops={"cidr": "inet_ops"}
        ),
        sa.ForeignKeyConstraint(["pool_id"], ["pool.id"], name=op.f("prefix_pool_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("prefix_pkey")),
    )
    op.create_index(op.f("prefix_pool_id_idx"), "prefix", ["pool_id"], unique=False)
    op.create_table(
        "attachment",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("flexible_ip_id", sa.Uuid(), nullable=False),
        sa.Column("target_kind", sa.String(), nullable=False),
        sa.Column("target_id", sa.Uuid(), nullable=False),
        sa.Column("role", sa.String(), nullable=True),
        sa.Column("appeared", sa.BigInteger(), nullable=True),
        sa.Column("vanished", sa.BigInteger(), nullable=True),
        sa.Column("operation_id", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("vanished > appeared", name=op.f("attachment_order_check")),
        sa.ForeignKeyConstraint(["flexible_ip_id"], ["flexible_ip.id"], name=op.f("attachment_flexible_ip_id_fkey")),
        sa.ForeignKeyConstraint(["operation_id"], ["operation.id"], name=op.f("attachment_operation_id_fkey")),
        sa.ForeignKeyConstraint(
            ["target_kind", "target_id"],
            ["target.kind", "target.id"],
            name=op.f("attachment_target_kind_target_id_fkey"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("attachment_pkey")),
        sa.UniqueConstraint(
            "flexible_ip_id",
            "target_kind",
            "target_id",
            name=op.f("attachment_flexible_ip_id_target_kind_target_id_key"),
        ),
    )
    op.create_index(
        "attachment_present_key",
        "attachment",
        ["flexible_ip_id"],
        unique=True,
        postgresql_where=sa.text("appeared IS NOT NULL"),
    )
    op.create_index("attachment_target_idx", "attachment", ["target_kind", "target_id"], unique=False)
    op.create_index(
        "attachment_waiting_key",
        "attachment",
        ["flexible_ip_id"],
        unique=True,
        postgresql_where=sa.text("appeared IS NULL"),
    )
    op.create_table(
        "supply",
        sa.Column("address", postgresql.CIDR(), nullable=False),
        sa.Column("pool_id", sa.Uuid(), nullable=True),
        sa.Column("prefix_id", sa.Uuid(), nullable=False),
        sa.Column("free", sa.Boolean(), nullable=False),
        sa.Column("free_seq", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("available_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["pool_id"], ["pool.id"], name=op.f("supply_pool_id_fkey")),
        sa.ForeignKeyConstraint(["prefix_id"], ["prefix.id"], name=op.f("supply_prefix_id_fkey")),
        sa.PrimaryKeyConstraint("address", name=op.f("supply_pkey")),
        postgresql_with={"fillfactor": "80", "autovacuum_vacuum_scale_factor": "0.02"},
    )
    op.create_index(op.f("supply_prefix_id_idx"), "supply", ["prefix_id"], unique=False)
    op.create_index(
        "supply_queue_idx",
        "supply",
        ["pool_id", "available_at", "free_seq"],
        unique=False,
        postgresql_where=sa.text("free"),
    )
    # ### end Alembic commands ###


def downgrade() -> None:
    op.drop_table("supply")
    op.drop_table("attachment")
    op.drop_table("prefix")
    op.drop_table("flexible_ip")
    op.drop_table("target")
    op.drop_table("pool")
    op.drop_table("zone")
    op.drop_table("quota")
    op.drop_table("operation")
    op.drop_table("idempotency")
    op.drop_table("holding")
    op.drop_table("audit")
