"""The controller's first schema."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("CREATE EXTENSION IF NOT EXISTS btree_gist")  # for `zone WITH =` in exclusion constraints
    op.create_table(
        "address_sequence",
        sa.Column("prefix", postgresql.CIDR(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("node_id", sa.Uuid(), nullable=True),
        sa.Column("previous_node_id", sa.Uuid(), nullable=True),
        sa.PrimaryKeyConstraint("prefix", name=op.f("pk_address_sequence")),
    )
    op.create_table(
        "flavor",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("vcpus", sa.Integer(), nullable=False),
        sa.Column("memory_mb", sa.Integer(), nullable=False),
        sa.Column("disk_gb", sa.Integer(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_flavor")),
        sa.UniqueConstraint("name", name=op.f("uq_flavor_name")),
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
        sa.PrimaryKeyConstraint("project", "subject", "operation_id", "key", name=op.f("pk_idempotency")),
    )
    op.create_index(op.f("ix_idempotency_created_at"), "idempotency", ["created_at"], unique=False)
    op.create_table(
        "incarnation",
        sa.Column("id", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_incarnation_single")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_incarnation")),
    )
    op.execute("INSERT INTO incarnation (id, epoch) VALUES (1, 1)")
    op.create_table(
        "operation",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("resource", sa.String(), nullable=False),
        sa.Column("project", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("waiting_for", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("progress", sa.Double(), nullable=False),
        sa.Column("steps", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("error", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("result", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_operation")),
    )
    op.create_index(op.f("ix_operation_project"), "operation", ["project"], unique=False)
    op.create_index(op.f("ix_operation_resource"), "operation", ["resource"], unique=False)
    op.create_index(
        "ix_operation_unfinished",
        "operation",
        ["id"],
        unique=False,
        postgresql_where=sa.text("state NOT IN ('succeeded', 'failed', 'cancelled')"),
    )
    op.create_table(
        "zone",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("region", sa.String(), nullable=False),
        sa.Column("stack", sa.String(), nullable=False),
        sa.Column("pool_revisions", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_zone")),
    )
    op.create_table(
        "instance",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("project", sa.String(), nullable=False),
        sa.Column("zone", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("flavor_id", sa.Uuid(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["flavor_id"], ["flavor.id"], name=op.f("fk_instance_flavor_id")),
        sa.ForeignKeyConstraint(["zone"], ["zone.name"], name=op.f("fk_instance_zone")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_instance")),
        sa.UniqueConstraint("project", "name", name=op.f("uq_instance_project_name")),
    )
    op.create_index(op.f("ix_instance_flavor_id"), "instance", ["flavor_id"], unique=False)
    op.create_table(
        "node",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("zone", sa.String(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("admin_state", sa.String(), nullable=False),
        sa.Column("agent_url", sa.String(), nullable=False),
        sa.Column("endpoint", postgresql.INET(), nullable=False),
        sa.Column("endpoint_ipv6", postgresql.INET(), nullable=True),
        sa.Column("private_prefix", postgresql.CIDR(), nullable=True),
        sa.Column("legacy_prefix", postgresql.CIDR(), nullable=True),
        sa.Column("traits", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("applied_generation", sa.BigInteger(), nullable=False),
        sa.Column("sums", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("refusal", sa.String(), nullable=True),
        sa.Column("revision", sa.Integer(), nullable=False),
        postgresql.ExcludeConstraint(
            (sa.column("zone"), "="), (sa.text("legacy_prefix inet_ops"), "&&"), using="gist", name="node_legacy_prefix"
        ),
        postgresql.ExcludeConstraint(
            (sa.column("zone"), "="),
            (sa.text("private_prefix inet_ops"), "&&"),
            using="gist",
            name="node_private_prefix",
        ),
        sa.ForeignKeyConstraint(["zone"], ["zone.name"], name=op.f("fk_node_zone")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_node")),
        sa.UniqueConstraint("name", name=op.f("uq_node_name")),
        sa.UniqueConstraint("zone", "endpoint", name=op.f("uq_node_zone_endpoint")),
    )
    op.create_index(
        "ix_node_unrealized", "node", ["id"], unique=False, postgresql_where=sa.text("generation > applied_generation")
    )
    op.create_table(
        "zone_prefix",
        sa.Column("zone", sa.String(), nullable=False),
        sa.Column("prefix", postgresql.CIDR(), nullable=False),
        sa.ForeignKeyConstraint(["zone"], ["zone.name"], name=op.f("fk_zone_prefix_zone")),
        sa.PrimaryKeyConstraint("zone", "prefix", name=op.f("pk_zone_prefix")),
    )
    op.create_table(
        "allocation",
        sa.Column("consumer", sa.Uuid(), nullable=False),
        sa.Column("node_id", sa.Uuid(), nullable=False),
        sa.Column("resource_class", sa.String(), nullable=False),
        sa.Column("project", sa.String(), nullable=False),
        sa.Column("used", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["node_id"], ["node.id"], name=op.f("fk_allocation_node_id")),
        sa.PrimaryKeyConstraint("consumer", "node_id", "resource_class", name=op.f("pk_allocation")),
    )
    op.create_index("ix_allocation_node_id", "allocation", ["node_id"], unique=False)
    op.create_table(
        "heartbeat",
        sa.Column("node_id", sa.Uuid(), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["node_id"], ["node.id"], name=op.f("fk_heartbeat_node_id")),
        sa.PrimaryKeyConstraint("node_id", name=op.f("pk_heartbeat")),
    )
    op.create_table(
        "inventory",
        sa.Column("node_id", sa.Uuid(), nullable=False),
        sa.Column("resource_class", sa.String(), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("reserved", sa.Integer(), nullable=False),
        sa.Column("min_unit", sa.Integer(), nullable=False),
        sa.Column("max_unit", sa.Integer(), nullable=False),
        sa.Column("step_size", sa.Integer(), nullable=False),
        sa.Column("allocation_ratio", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["node_id"], ["node.id"], name=op.f("fk_inventory_node_id")),
        sa.PrimaryKeyConstraint("node_id", "resource_class", name=op.f("pk_inventory")),
    )
    op.create_table(
        "node_entry",
        sa.Column("node_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.SmallInteger(), nullable=False),
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.Column("owner", sa.Uuid(), nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("removed", sa.Boolean(), nullable=False),
        sa.Column("operation", sa.Uuid(), nullable=True),
        sa.Column("failure", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(["node_id"], ["node.id"], name=op.f("fk_node_entry_node_id")),
        sa.PrimaryKeyConstraint("node_id", "kind", "key", name=op.f("pk_node_entry")),
    )
    op.create_index(
        "ix_node_entry_failure",
        "node_entry",
        ["node_id"],
        unique=False,
        postgresql_where=sa.text("failure IS NOT NULL"),
    )
    op.create_index("ix_node_entry_generation", "node_entry", ["node_id", "generation"], unique=False)
    op.create_index(op.f("ix_node_entry_owner"), "node_entry", ["owner"], unique=False)
    op.create_table(
        "port",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("target_id", sa.Uuid(), nullable=False),
        sa.Column("mac", sa.String(), nullable=False),
        sa.Column("mode", sa.String(), nullable=False),
        sa.Column("node_id", sa.Uuid(), nullable=True),
        sa.Column("set_revision", sa.BigInteger(), nullable=False),
        sa.Column("reported_revision", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["node_id"], ["node.id"], name=op.f("fk_port_node_id")),
        sa.ForeignKeyConstraint(["target_id"], ["instance.id"], name=op.f("fk_port_target_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_port")),
        sa.UniqueConstraint("mac", name=op.f("uq_port_mac")),
        sa.UniqueConstraint("target_id", name=op.f("uq_port_target_id")),
    )
    op.create_index(op.f("ix_port_node_id"), "port", ["node_id"], unique=False)
    op.create_index(
        "ix_port_unreported", "port", ["id"], unique=False, postgresql_where=sa.text("set_revision > reported_revision")
    )
    op.create_table(
        "claim",
        sa.Column("port_id", sa.Uuid(), nullable=False),
        sa.Column("operation_id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("step", sa.String(), nullable=False),
        sa.Column("source_id", sa.Uuid(), nullable=True),
        sa.Column("destination_id", sa.Uuid(), nullable=True),
        sa.Column("consumer", sa.Uuid(), nullable=False),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("requested", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.ForeignKeyConstraint(["destination_id"], ["node.id"], name=op.f("fk_claim_destination_id")),
        sa.ForeignKeyConstraint(["operation_id"], ["operation.id"], name=op.f("fk_claim_operation_id")),
        sa.ForeignKeyConstraint(["port_id"], ["port.id"], name=op.f("fk_claim_port_id")),
        sa.ForeignKeyConstraint(["source_id"], ["node.id"], name=op.f("fk_claim_source_id")),
        sa.PrimaryKeyConstraint("port_id", name=op.f("pk_claim")),
        sa.UniqueConstraint("operation_id", name=op.f("uq_claim_operation_id")),
    )
    op.create_table(
        "node_address",
        sa.Column("zone", sa.String(), nullable=False),
        sa.Column("prefix", postgresql.CIDR(), nullable=False),
        sa.Column("node_id", sa.Uuid(), nullable=False),
        sa.Column("port_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(["node_id"], ["node.id"], name=op.f("fk_node_address_node_id")),
        sa.ForeignKeyConstraint(["port_id"], ["port.id"], name=op.f("fk_node_address_port_id")),
        sa.PrimaryKeyConstraint("zone", "prefix", name=op.f("pk_node_address")),
    )
    op.create_index(op.f("ix_node_address_node_id"), "node_address", ["node_id"], unique=False)
    op.create_index(op.f("ix_node_address_port_id"), "node_address", ["port_id"], unique=False)
    op.create_table(
        "port_address",
        sa.Column("port_id", sa.Uuid(), nullable=False),
        sa.Column("flexible_ip", sa.Uuid(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("prefix", postgresql.CIDR(), nullable=False),
        sa.Column("host", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["port_id"], ["port.id"], name=op.f("fk_port_address_port_id")),
        sa.PrimaryKeyConstraint("port_id", "flexible_ip", name=op.f("pk_port_address")),
    )


def downgrade() -> None:
    op.drop_table("port_address")
    op.drop_index(op.f("ix_node_address_port_id"), table_name="node_address")
    op.drop_index(op.f("ix_node_address_node_id"), table_name="node_address")
    op.drop_table("node_address")
    op.drop_table("claim")
    op.drop_index("ix_port_unreported", table_name="port", postgresql_where=sa.text("set_revision > reported_revision"))
    op.drop_index(op.f("ix_port_node_id"), table_name="port")
    op.drop_table("port")
    op.drop_index(op.f("ix_node_entry_owner"), table_name="node_entry")
    op.drop_index("ix_node_entry_generation", table_name="node_entry")
    op.drop_index("ix_node_entry_failure", table_name="node_entry", postgresql_where=sa.text("failure IS NOT NULL"))
    op.drop_table("node_entry")
    op.drop_table("inventory")
    op.drop_table("heartbeat")
    op.drop_index("ix_allocation_node_id", table_name="allocation")
    op.drop_table("allocation")
    op.drop_table("zone_prefix")
    op.drop_index("ix_node_unrealized", table_name="node", postgresql_where=sa.text("generation > applied_generation"))
    op.drop_table("node")
    op.drop_index(op.f("ix_instance_flavor_id"), table_name="instance")
    op.drop_table("instance")
    op.drop_table("zone")
    op.drop_index(
        "ix_operation_unfinished",
        table_name="operation",
        postgresql_where=sa.text("state NOT IN ('succeeded', 'failed', 'cancelled')"),
    )
    op.drop_index(op.f("ix_operation_resource"), table_name="operation")
    op.drop_index(op.f("ix_operation_project"), table_name="operation")
    op.drop_table("operation")
    op.drop_table("incarnation")
    op.drop_index(op.f("ix_idempotency_created_at"), table_name="idempotency")
    op.drop_table("idempotency")
    op.drop_table("flavor")
    op.drop_table("address_sequence")
