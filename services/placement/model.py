"""Tables of the controller. Uniqueness and exclusion live here, as constraints."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    DateTime,
    ForeignKey,
    Index,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import CIDR, INET, JSONB, ExcludeConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from common.tables import IdempotencyColumns, OperationColumns
from services.placement import modes

Prefix = IPv4Network | IPv6Network


def now() -> datetime:
    return datetime.now(UTC)


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012  SQLAlchemy reads it from the class
        datetime: DateTime(timezone=True),
        dict[str, Any]: JSONB,
        list[dict[str, Any]]: JSONB,
        IPv4Address: INET,
        Prefix: CIDR,
    }


class Incarnation(Base):
    """One row: the database's `epoch`. A restore raises it, so that agents refuse a restored past."""

    __tablename__ = "incarnation"

    id: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False, default=1)
    epoch: Mapped[int] = mapped_column(BigInteger)

    __table_args__ = (CheckConstraint("id = 1", name="single"),)


class Zone(Base):
    __tablename__ = "zone"

    name: Mapped[str] = mapped_column(primary_key=True)
    region: Mapped[str]
    stack: Mapped[str]
    nat_closed: Mapped[bool] = mapped_column(default=False)  # no new NAT ports: those left are being converted
    pool_revisions: Mapped[dict[str, Any]] = mapped_column(default=dict)  # of the pools its prefixes were read from
    revision: Mapped[int] = mapped_column(default=1)


class ZonePrefix(Base):
    """Our copy of a public prefix of a zone's pools: the edge answers for it, gateways announce the IPv4 ones."""

    __tablename__ = "zone_prefix"

    zone: Mapped[str] = mapped_column(ForeignKey("zone.name"), primary_key=True)
    prefix: Mapped[Prefix] = mapped_column(CIDR, primary_key=True)


class Node(Base):
    """A machine with a netagent.

    `generation` rises when its entries change; `applied_generation` is what its agent last confirmed. The first above
    the second is the list of work. `sums` is the digest of its entries, by kind, as hexadecimal numbers.
    """

    __tablename__ = "node"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    zone: Mapped[str] = mapped_column(ForeignKey("zone.name"))
    role: Mapped[str]
    admin_state: Mapped[str] = mapped_column(default="enabled")
    fence: Mapped[dict[str, Any] | None]  # evidence that nothing runs on it: `wire.Fence`
    fenced_at: Mapped[datetime | None]  # the edges have read back that they hold it apart
    agent_url: Mapped[str]
    endpoint: Mapped[IPv4Address]
    endpoint_ipv6: Mapped[IPv6Address | None] = mapped_column(INET)
    neighbours: Mapped[list[str]] = mapped_column(JSONB, default=list)  # its ends of its links to the edge
    private_prefix: Mapped[Prefix | None] = mapped_column(CIDR)
    legacy_prefix: Mapped[Prefix | None] = mapped_column(CIDR)
    traits: Mapped[list[str]] = mapped_column(JSONB, default=list)
    generation: Mapped[int] = mapped_column(BigInteger, default=1)
    applied_generation: Mapped[int] = mapped_column(BigInteger, default=0)
    sums: Mapped[dict[str, Any]] = mapped_column(default=dict)
    refusal: Mapped[str | None]  # why its agent does not take what it is sent
    approved: Mapped[str | None]  # digest of removals that its agent refuses, and an operator does not
    revision: Mapped[int] = mapped_column(default=1)

    heartbeat: Mapped[Heartbeat | None] = relationship(cascade="all, delete-orphan", lazy="joined")
    inventories: Mapped[list[Inventory]] = relationship(
        cascade="all, delete-orphan", order_by="Inventory.resource_class"
    )

    __table_args__ = (
        UniqueConstraint("zone", "endpoint"),
        ExcludeConstraint(
            ("zone", "="), (text("private_prefix inet_ops"), "&&"), name="node_private_prefix", using="gist"
        ),
        ExcludeConstraint(
            ("zone", "="), (text("legacy_prefix inet_ops"), "&&"), name="node_legacy_prefix", using="gist"
        ),
        Index("ix_node_unrealized", "id", postgresql_where=text("generation > applied_generation")),
    )


class Heartbeat(Base):
    """When a node's agent last answered: a table of its own, for it is written every second and waits for nobody."""

    __tablename__ = "heartbeat"

    node_id: Mapped[UUID] = mapped_column(ForeignKey("node.id"), primary_key=True)
    seen_at: Mapped[datetime]
    fabric: Mapped[bool | None]  # whether the edges have its routes; null: they do not say


class NodeWork(Base):
    """The Operation that is changing a node as a whole: one at a time, by the primary key."""

    __tablename__ = "node_work"

    node_id: Mapped[UUID] = mapped_column(ForeignKey("node.id"), primary_key=True)
    operation_id: Mapped[str] = mapped_column(ForeignKey("operation.id"), unique=True)
    kind: Mapped[str]
    concurrency: Mapped[int] = mapped_column(default=1)  # drain: moves at a time
    paused: Mapped[bool] = mapped_column(default=False)
    total: Mapped[int] = mapped_column(default=0)  # instances it began with
    started_at: Mapped[datetime] = mapped_column(default=now)


class Inventory(Base):
    __tablename__ = "inventory"

    node_id: Mapped[UUID] = mapped_column(ForeignKey("node.id"), primary_key=True)
    resource_class: Mapped[str] = mapped_column(primary_key=True)
    total: Mapped[int]
    reserved: Mapped[int] = mapped_column(default=0)
    min_unit: Mapped[int] = mapped_column(default=1)
    max_unit: Mapped[int] = mapped_column(default=2**31 - 1)
    step_size: Mapped[int] = mapped_column(default=1)
    allocation_ratio: Mapped[float] = mapped_column(default=1.0)


class Allocation(Base):
    """What a consumer holds of a node. A move is a consumer of its own until it is done."""

    __tablename__ = "allocation"

    consumer: Mapped[UUID] = mapped_column(primary_key=True)
    node_id: Mapped[UUID] = mapped_column(ForeignKey("node.id"), primary_key=True)
    resource_class: Mapped[str] = mapped_column(primary_key=True)
    project: Mapped[str]
    used: Mapped[int]

    __table_args__ = (Index("ix_allocation_node_id", "node_id"),)


class Flavor(Base):
    __tablename__ = "flavor"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    name: Mapped[str] = mapped_column(unique=True)
    vcpus: Mapped[int]
    memory_mb: Mapped[int]
    disk_gb: Mapped[int]
    revision: Mapped[int] = mapped_column(default=1)


class Instance(Base):
    __tablename__ = "instance"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    project: Mapped[str]
    zone: Mapped[str] = mapped_column(ForeignKey("zone.name"))
    name: Mapped[str]
    flavor_id: Mapped[UUID] = mapped_column(ForeignKey("flavor.id"), index=True)
    revision: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[datetime] = mapped_column(default=now)
    updated_at: Mapped[datetime] = mapped_column(default=now, onupdate=now)

    flavor: Mapped[Flavor] = relationship()
    port: Mapped[Port] = relationship(back_populates="instance", lazy="joined", cascade="all, delete-orphan")

    __table_args__ = (UniqueConstraint("project", "name"),)


def new_mac() -> str:
    """A random unicast, locally administered MAC address."""
    octets = bytearray(secrets.token_bytes(6))
    octets[0] = (octets[0] | 0x02) & 0xFE
    return octets.hex(":")


class Port(Base):
    """A product's network interface: the Target that IPAM knows as `(kind, product id)`.

    `node_id` is the Binding: the hypervisor it runs on; null while archived. `set_revision` is that of our copy of its
    AddressSet, `reported_revision` the last one reported as realised.
    """

    __tablename__ = "port"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    kind: Mapped[str]
    target_id: Mapped[UUID] = mapped_column(ForeignKey("instance.id"), unique=True)
    mac: Mapped[str] = mapped_column(unique=True, default=new_mac)
    mode: Mapped[str]
    node_id: Mapped[UUID | None] = mapped_column(ForeignKey("node.id"), index=True)
    set_revision: Mapped[int] = mapped_column(BigInteger, default=0)
    reported_revision: Mapped[int] = mapped_column(BigInteger, default=0)
    ledger_mode: Mapped[str]  # whose limits the ledger knows
    gives_up_ipv4: Mapped[bool] = mapped_column(default=False)  # its owner agrees to lose a 10.x that is all it has

    instance: Mapped[Instance] = relationship(back_populates="port", lazy="joined")
    addresses: Mapped[list[PortAddress]] = relationship(
        cascade="all, delete-orphan", lazy="selectin", order_by="PortAddress.position"
    )
    node_addresses: Mapped[list[NodeAddress]] = relationship(cascade="all, delete-orphan", lazy="selectin")
    claim: Mapped[Claim | None] = relationship(lazy="joined", cascade="all, delete-orphan")

    __table_args__ = (
        Index("ix_port_unreported", "id", postgresql_where=text("set_revision > reported_revision")),
        Index("ix_port_limits", "id", postgresql_where=text("ledger_mode <> mode")),
    )

    def enter(self, mode: str) -> None:
        """Have another mode; the ledger is to hear of it if a port of this mode takes other numbers of addresses."""
        if modes.MODES[mode].limits == modes.MODES[self.ledger_mode].limits:
            self.ledger_mode = mode
        self.mode = mode


class PortAddress(Base):
    """Our copy of one address of a port's AddressSet.

    Of a failover address, `candidates` are the targets it may go to, the best first: (kind, id, priority);
    `health_check` is as the ledger has it.
    """

    __tablename__ = "port_address"

    port_id: Mapped[UUID] = mapped_column(ForeignKey("port.id"), primary_key=True)
    flexible_ip: Mapped[UUID] = mapped_column(primary_key=True)
    position: Mapped[int]
    prefix: Mapped[Prefix] = mapped_column(CIDR)
    host: Mapped[str]
    candidates: Mapped[list[Any]] = mapped_column(JSONB, default=list)
    health_check: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))


class NodeAddress(Base):
    """An address bound to a node: 10.x, or a legacy IPv6 prefix. During a move a port holds those of two nodes.

    `carried`: it stays with its port on moves until the ledger owns it; then it is nobody's, and not given out again.
    """

    __tablename__ = "node_address"

    zone: Mapped[str] = mapped_column(primary_key=True)
    prefix: Mapped[Prefix] = mapped_column(CIDR, primary_key=True)
    node_id: Mapped[UUID] = mapped_column(ForeignKey("node.id"), index=True)
    port_id: Mapped[UUID | None] = mapped_column(ForeignKey("port.id"), index=True)
    carried: Mapped[bool] = mapped_column(default=False)


class StoredDisk(Base):
    """A port's disk in an object store; `digest` is null until it is whole. What is no port's any more is deleted."""

    __tablename__ = "stored_disk"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    port_id: Mapped[UUID | None] = mapped_column(ForeignKey("port.id", ondelete="SET NULL"), unique=True)
    zone: Mapped[str] = mapped_column(ForeignKey("zone.name"))  # whose hypervisors reach the store
    url: Mapped[str] = mapped_column(unique=True)
    digest: Mapped[str | None]
    size_bytes: Mapped[int] = mapped_column(BigInteger, default=0)
    left_out: Mapped[int] = mapped_column(BigInteger, default=0)  # links, devices and the like
    created_at: Mapped[datetime] = mapped_column(default=now)


class AddressSequence(Base):
    """How often an address changed (address, node): what the fabric compares. Never deleted."""

    __tablename__ = "address_sequence"

    prefix: Mapped[Prefix] = mapped_column(CIDR, primary_key=True)
    sequence: Mapped[int] = mapped_column(BigInteger)
    node_id: Mapped[UUID | None]
    previous_node_id: Mapped[UUID | None]


class Claim(Base):
    """The Operation that is changing a port, and how far it is: one at a time, by the primary key."""

    __tablename__ = "claim"

    port_id: Mapped[UUID] = mapped_column(ForeignKey("port.id"), primary_key=True)
    operation_id: Mapped[str] = mapped_column(ForeignKey("operation.id"), unique=True)
    kind: Mapped[str]
    step: Mapped[str]
    source_id: Mapped[UUID | None] = mapped_column(ForeignKey("node.id"))
    destination_id: Mapped[UUID | None] = mapped_column(ForeignKey("node.id"))
    consumer: Mapped[UUID] = mapped_column(default=uuid4)  # holds the move's own allocation
    entered_at: Mapped[datetime] = mapped_column(default=now)  # this step
    settled_at: Mapped[datetime | None]  # conversion: when nothing but time was missing at this step
    requested: Mapped[dict[str, Any]] = mapped_column(default=dict)  # create: the addresses; "undone": why it goes back
    wave: Mapped[str] = mapped_column(default="", index=True)  # taken on together with others of it; "": by itself
    answered: Mapped[dict[str, Any]] = mapped_column(default=dict)  # conversion: what answered before the switch


class Conversion(Base):
    """A zone's passage nat → dual → routed. One that is not over excludes another of its zone, by constraint.

    `paused` holds the reasons; none: it goes on. `through` is the phase after which it pauses by itself.
    """

    __tablename__ = "conversion"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    zone: Mapped[str] = mapped_column(ForeignKey("zone.name"))
    project: Mapped[str]
    phase: Mapped[str]
    through: Mapped[str]
    from_stack: Mapped[str]
    operation_id: Mapped[str | None] = mapped_column(ForeignKey("operation.id"))
    paused: Mapped[list[dict[str, Any]]] = mapped_column(default=list)
    in_flight: Mapped[int]  # ports between two modes at a time
    failure_budget: Mapped[int]  # ports that may fail over the whole passage
    soak_s: Mapped[int]  # between a guest's adoption and the seal
    restarts_guests: Mapped[bool]  # in the tail, those that have not adopted their address by then
    wrong_tenant_packets: Mapped[dict[str, Any]] = mapped_column(default=dict)  # by node, as counted when it started
    revision: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[datetime] = mapped_column(default=now)
    phase_at: Mapped[datetime] = mapped_column(default=now)

    __table_args__ = (
        Index(
            "uq_conversion_zone",
            "zone",
            unique=True,
            postgresql_where=text("phase NOT IN ('done', 'aborted')"),
        ),
    )


class Wave(Base):
    """Ports that are converted together, and judged together before the next."""

    __tablename__ = "wave"

    conversion_id: Mapped[UUID] = mapped_column(ForeignKey("conversion.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    phase: Mapped[str]  # in which it is converted
    started_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]  # its verdict was positive


class PortConversion(Base):
    """One port in a zone's conversion. It outlives the port: no key ties it to one."""

    __tablename__ = "port_conversion"

    conversion_id: Mapped[UUID] = mapped_column(ForeignKey("conversion.id", ondelete="CASCADE"), primary_key=True)
    port_id: Mapped[UUID] = mapped_column(primary_key=True)
    instance_id: Mapped[UUID]
    name: Mapped[str]
    wave: Mapped[int]
    state: Mapped[str]
    reasons: Mapped[list[dict[str, Any]]] = mapped_column(default=list)
    planned_revision: Mapped[int]  # the instance's
    operation_id: Mapped[str | None] = mapped_column(String, index=True)  # of the latest attempt
    attempts: Mapped[int] = mapped_column(default=0)
    probes_sent: Mapped[int] = mapped_column(default=0)
    probes_lost: Mapped[int] = mapped_column(default=0)
    checked_at: Mapped[datetime | None]
    verified_at: Mapped[datetime | None]
    adopted_at: Mapped[datetime | None]

    __table_args__ = (Index("ix_port_conversion_wave", "conversion_id", "wave", "state"),)


class NodeEntry(Base):
    """One row of what a node must hold, packed as on the wire.

    `removed` rows are tombstones: they stay until the node has confirmed their generation.
    """

    __tablename__ = "node_entry"

    node_id: Mapped[UUID] = mapped_column(ForeignKey("node.id"), primary_key=True)
    kind: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    key: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    value: Mapped[bytes] = mapped_column(LargeBinary)
    owner: Mapped[UUID] = mapped_column(index=True)  # the port or node it is derived from
    generation: Mapped[int] = mapped_column(BigInteger)
    removed: Mapped[bool] = mapped_column(default=False)
    operation: Mapped[UUID | None]
    failure: Mapped[str | None] = mapped_column(String)

    __table_args__ = (
        Index("ix_node_entry_generation", "node_id", "generation"),
        Index("ix_node_entry_failure", "node_id", postgresql_where=text("failure IS NOT NULL")),
    )


class Withdrawal(Base):
    """So many mapped addresses a gateway has stopped announcing though nobody asked for it: what a budget counts."""

    __tablename__ = "withdrawal"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    node_id: Mapped[UUID] = mapped_column(ForeignKey("node.id"), index=True)
    at: Mapped[datetime] = mapped_column(default=now)
    addresses: Mapped[int]


class AddressFence(Base):
    """An address that a node should withdraw and has not: the edges hold it apart from the node meanwhile.

    `key` is that of the node's entry, `port_id` the port it leaves; `id` owns what the edges hold. Once they have read
    it back, it is `realized`, and the address counts as withdrawn.
    """

    __tablename__ = "address_fence"

    node_id: Mapped[UUID] = mapped_column(ForeignKey("node.id"), primary_key=True)
    key: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    id: Mapped[UUID] = mapped_column(unique=True, default=uuid4)
    port_id: Mapped[UUID]
    realized: Mapped[bool] = mapped_column(default=False)


class Operation(OperationColumns, Base):
    __tablename__ = "operation"


class Idempotency(IdempotencyColumns, Base):
    __tablename__ = "idempotency"
