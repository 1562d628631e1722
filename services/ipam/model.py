"""The ledger's tables, and the rules an object can keep by itself. States are derived, never stored."""

from __future__ import annotations

import os
import time
from datetime import datetime, timedelta
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    DateTime,
    Dialect,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    MetaData,
    String,
    TypeDecorator,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, CIDR, INET, JSONB, TSTZRANGE, ExcludeConstraint, Range
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from common.tables import IdempotencyColumns, OperationColumns
from services.ipam import wire
from services.ipam.errors import (
    ActiveCandidate,
    AlreadyAttached,
    CandidatesFull,
    Frozen,
    HeldDown,
    InTransition,
    NoCandidate,
    NotAttached,
    NotAttachedThere,
    NotCandidate,
    NotFailover,
    Quarantined,
    ZoneMismatch,
)

FLAPS, FLAP_WINDOW = 5, timedelta(seconds=180)
"""So many failovers by health within so long freeze an address (RFC 7432 §15.1)."""


def new_id() -> UUID:
    """A UUID that sorts by the time it was made (RFC 9562, version 7)."""
    number = (time.time_ns() // 1_000_000) << 80 | int.from_bytes(os.urandom(10), "big")
    number = number & ~(0xF << 76) | 0x7 << 76
    number = number & ~(0x3 << 62) | 0x2 << 62
    return UUID(int=number)


class _Text(TypeDecorator[str]):
    """A network type of PostgreSQL as text in Python."""

    impl: Any = String
    cache_ok = True

    def process_result_value(self, value: object, dialect: Dialect) -> str | None:  # noqa: ARG002  their signature
        return None if value is None else str(value)


class Cidr(_Text):
    impl = CIDR
    cache_ok = True


class Inet(_Text):
    impl = INET
    cache_ok = True


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "%(table_name)s_%(column_0_N_name)s_idx",
            "uq": "%(table_name)s_%(column_0_N_name)s_key",
            "ck": "%(table_name)s_%(constraint_name)s_check",
            "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
            "pk": "%(table_name)s_pkey",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        datetime: DateTime(timezone=True),
        dict[str, Any]: JSONB,
        dict[str, str]: JSONB,
    }


class Zone(Base):
    """A zone as the ledger knows it: a name in a region."""

    __tablename__ = "zone"

    name: Mapped[str] = mapped_column(primary_key=True)
    region: Mapped[str]
    accepts_regional: Mapped[bool]
    revision: Mapped[int] = mapped_column(BigInteger, default=1)


class Pool(Base):
    """A zone's supply of addresses of one family."""

    __tablename__ = "pool"
    __table_args__ = (UniqueConstraint("zone", "name"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    name: Mapped[str]
    zone: Mapped[str] = mapped_column(ForeignKey("zone.name"))
    family: Mapped[str]
    prefix_length: Mapped[int]
    quarantine_seconds: Mapped[int]
    revision: Mapped[int] = mapped_column(BigInteger, default=1)

    prefixes: Mapped[list[Prefix]] = relationship(order_by="Prefix.cidr", lazy="raise")


class Prefix(Base):
    """A CIDR in a pool, or in none: a carried prefix, whose one unit it is.

    `seeded` is how many of its IPv4 addresses have a row in `supply` from the start.
    """

    __tablename__ = "prefix"
    __table_args__ = (ExcludeConstraint(("cidr", "&&"), using="gist", name="prefix_overlap", ops={"cidr": "inet_ops"}),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    pool_id: Mapped[UUID | None] = mapped_column(ForeignKey("pool.id"), index=True)
    cidr: Mapped[str] = mapped_column(Cidr)
    seeded: Mapped[int] = mapped_column(BigInteger, default=0)
    created_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())


class Supply(Base):
    """An address that can be or has been given: a queue of the free ones, first in first out.

    A free IPv4 address has a row once its block is seeded; an IPv6 prefix gets one when it is first given. Claiming and
    releasing flip `free`, so that whoever holds the row's lock holds the address. `available_at` is the end of the
    quarantine; the order of the queue is (available_at, free_seq), so that what rests is never walked over. A carried
    prefix is in no pool's queue: after its quarantine it is nobody's to give.
    """

    __tablename__ = "supply"
    __table_args__ = (
        Index("supply_queue_idx", "pool_id", "available_at", "free_seq", postgresql_where=text("free")),
        {"postgresql_with": {"fillfactor": "80", "autovacuum_vacuum_scale_factor": "0.02"}},
    )

    address: Mapped[str] = mapped_column(Cidr, primary_key=True)
    pool_id: Mapped[UUID | None] = mapped_column(ForeignKey("pool.id"))
    prefix_id: Mapped[UUID] = mapped_column(ForeignKey("prefix.id"), index=True)
    free: Mapped[bool]
    free_seq: Mapped[int] = mapped_column(BigInteger, Identity(always=False))
    available_at: Mapped[datetime]


class Quota(Base):
    """How many addresses of a family a project may hold, and holds."""

    __tablename__ = "quota"
    __table_args__ = (CheckConstraint("used >= 0", name="used"),)

    project: Mapped[str] = mapped_column(primary_key=True)
    family: Mapped[str] = mapped_column(primary_key=True)
    granted: Mapped[int]
    used: Mapped[int] = mapped_column(default=0)
    revision: Mapped[int] = mapped_column(BigInteger, default=1)


class Target(Base):
    """What addresses are attached to, and the head of its AddressSet.

    `revision` is the resource's own; `addresses_revision` rises at every change of its addresses, and
    `realized_revision` follows when the nodes have read it back.
    """

    __tablename__ = "target"
    __table_args__ = (
        CheckConstraint("realized_revision <= addresses_revision", name="realized"),
        Index("target_lagging_idx", "kind", "id", postgresql_where=text("realized_revision < addresses_revision")),
    )

    kind: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[UUID] = mapped_column(primary_key=True)
    project: Mapped[str]
    zone: Mapped[str] = mapped_column(ForeignKey("zone.name"))
    name: Mapped[str]
    limit_ipv4: Mapped[int]
    limit_ipv6: Mapped[int]
    revision: Mapped[int] = mapped_column(BigInteger, default=1)
    addresses_revision: Mapped[int] = mapped_column(BigInteger, default=0)
    realized_revision: Mapped[int] = mapped_column(BigInteger, default=0)

    @property
    def ref(self) -> wire.TargetRef:
        return wire.TargetRef(kind=self.kind, id=self.id)

    def limit(self, family: str) -> int:
        return self.limit_ipv4 if family == wire.Family.IPV4 else self.limit_ipv6


class Attachment(Base):
    """A flexible IP on a target, from the revision of the AddressSet at which it appears to that at which it vanishes.

    `appeared` is null while it waits for another target's withdrawal; the row goes when `vanished` is realised.
    `withdrawn_at`, by placement's clock, is when the nodes before had withdrawn the address; null once it is realised.
    """

    __tablename__ = "attachment"
    __table_args__ = (
        UniqueConstraint("flexible_ip_id", "target_kind", "target_id"),
        ForeignKeyConstraint(["target_kind", "target_id"], ["target.kind", "target.id"]),
        Index(
            "attachment_present_key",
            "flexible_ip_id",
            unique=True,
            postgresql_where=text("appeared IS NOT NULL"),
        ),
        Index(
            "attachment_waiting_key",
            "flexible_ip_id",
            unique=True,
            postgresql_where=text("appeared IS NULL"),
        ),
        Index("attachment_target_idx", "target_kind", "target_id"),
        Index("attachment_operation_idx", "operation_id"),
        CheckConstraint("vanished > appeared", name="order"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    flexible_ip_id: Mapped[UUID] = mapped_column(ForeignKey("flexible_ip.id"))
    target_kind: Mapped[str]
    target_id: Mapped[UUID]
    role: Mapped[str | None]
    appeared: Mapped[int | None] = mapped_column(BigInteger)
    vanished: Mapped[int | None] = mapped_column(BigInteger)
    withdrawn_at: Mapped[datetime | None]
    operation_id: Mapped[str] = mapped_column(ForeignKey("operation.id"))
    created_at: Mapped[datetime]

    target: Mapped[Target] = relationship(lazy="raise")
    flexible_ip: Mapped[FlexibleIP] = relationship(lazy="raise", back_populates="attachments")

    @property
    def ref(self) -> wire.TargetRef:
        return wire.TargetRef(kind=self.target_kind, id=self.target_id)

    def serves(self, target: wire.TargetRef) -> bool:
        return (self.target_kind, self.target_id) == (target.kind, target.id)

    def leaves(self, kind: str, target_id: UUID, by: int) -> bool:
        """Whether it is that target it leaves, and is gone from it at revision `by`."""
        gone = self.vanished is not None and self.vanished <= by
        return gone and (self.target_kind, self.target_id) == (kind, target_id)

    def listed_at(self, revision: int) -> bool:
        """Whether the AddressSet shows it at `revision`: neither waiting then nor gone by then."""
        if self.appeared is None or self.appeared > revision:
            return False
        return self.vanished is None or self.vanished > revision


class Candidate(Base):
    """A target that a failover address may go to. It keeps room for it: the address counts against its limit."""

    __tablename__ = "candidate"
    __table_args__ = (
        ForeignKeyConstraint(["target_kind", "target_id"], ["target.kind", "target.id"]),
        Index("candidate_target_idx", "target_kind", "target_id"),
    )

    flexible_ip_id: Mapped[UUID] = mapped_column(ForeignKey("flexible_ip.id"), primary_key=True)
    target_kind: Mapped[str] = mapped_column(primary_key=True)
    target_id: Mapped[UUID] = mapped_column(primary_key=True)
    priority: Mapped[int]

    @property
    def ref(self) -> wire.TargetRef:
        return wire.TargetRef(kind=self.target_kind, id=self.target_id)

    def is_of(self, target: wire.TargetRef) -> bool:
        return (self.target_kind, self.target_id) == (target.kind, target.id)

    @property
    def rank(self) -> tuple[int, str, UUID]:
        return -self.priority, self.target_kind, self.target_id


def _candidate(target: wire.TargetRef, priority: int) -> Candidate:
    return Candidate(target_kind=target.kind, target_id=target.id, priority=priority)


class FlexibleIP(Base):
    """A project's address. Released, it rests for its previous project to restore until `quarantined_until`.

    It comes from a pool, or is carried: then `adopted_kind` and `adopted_id` keep the target it was adopted on,
    whatever holds it since. A carried prefix counts against no quota and no limit. `failovers_at` are the moments of
    the last failovers by health, at most `FLAPS`, the latest last.
    """

    __tablename__ = "flexible_ip"
    __table_args__ = (
        CheckConstraint("num_nonnulls(pool_id, adopted_id) = 1", name="origin"),
        CheckConstraint("num_nulls(adopted_kind, adopted_id) <> 1", name="adopted"),
        Index("flexible_ip_carried_idx", "address", postgresql_where=text("adopted_id IS NOT NULL")),
        Index("flexible_ip_address_key", "address", unique=True, postgresql_where=text("released_at IS NULL")),
        Index("flexible_ip_project_idx", "project", "id"),
        Index("flexible_ip_pool_idx", "pool_id", "id"),
        Index("flexible_ip_labels_idx", "labels", postgresql_using="gin", postgresql_ops={"labels": "jsonb_path_ops"}),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    project: Mapped[str]
    zone: Mapped[str] = mapped_column(ForeignKey("zone.name"))
    pool_id: Mapped[UUID | None] = mapped_column(ForeignKey("pool.id"))
    adopted_kind: Mapped[str | None]
    adopted_id: Mapped[UUID | None]
    family: Mapped[str]
    kind: Mapped[str]
    address: Mapped[str] = mapped_column(Cidr)
    interface_id: Mapped[str | None] = mapped_column(Inet)
    name: Mapped[str | None]
    labels: Mapped[dict[str, str]]
    protected: Mapped[bool] = mapped_column(default=False)
    released_at: Mapped[datetime | None]
    quarantined_until: Mapped[datetime | None]
    health_check: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    failovers_at: Mapped[list[datetime]] = mapped_column(
        ARRAY(DateTime(timezone=True)), default=list, server_default=text("'{}'")
    )
    frozen_since: Mapped[datetime | None]
    revision: Mapped[int] = mapped_column(BigInteger, default=1)
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]

    pool: Mapped[Pool | None] = relationship(lazy="raise")
    attachments: Mapped[list[Attachment]] = relationship(
        lazy="raise", back_populates="flexible_ip", cascade="all, delete-orphan"
    )
    stored_candidates: Mapped[list[Candidate]] = relationship(cascade="all, delete-orphan")

    @property
    def path(self) -> str:
        return f"/ipam/v1/flexible-ips/{self.id}"

    @property
    def carried(self) -> bool:
        return self.adopted_id is not None

    def adopted_for(self, item: wire.CarriedPrefix) -> bool:
        """Whether it is what `item` asked for, wherever its owner has taken it since."""
        by = (self.project, self.adopted_kind, self.adopted_id)
        return by == (item.project, item.target.kind, item.target.id)

    @property
    def quarantine(self) -> timedelta:
        return timedelta(seconds=self.pool.quarantine_seconds if self.pool else wire.QUARANTINE_SECONDS)

    @property
    def present(self) -> Attachment | None:
        """The attachment that nodes have, get, or are giving up."""
        return next((a for a in self.attachments if a.appeared is not None), None)

    @property
    def waiting(self) -> Attachment | None:
        """The attachment that waits for another target's withdrawal."""
        return next((a for a in self.attachments if a.appeared is None), None)

    @property
    def active(self) -> Attachment | None:
        """The attachment that is to be: of a failover address, the active one of its candidates."""
        if self.waiting is not None:
            return self.waiting
        present = self.present
        return present if present is not None and present.vanished is None else None

    @property
    def candidates(self) -> list[Candidate]:
        """The best first; of equal priority in the order of their ids. Only a failover address has any."""
        if self.kind != wire.FlexibleIPKind.FAILOVER:
            return []
        return sorted(self.stored_candidates, key=lambda candidate: candidate.rank)

    @property
    def state(self) -> wire.FlexibleIPState:
        if self.released_at is not None:
            return wire.FlexibleIPState.QUARANTINED
        present = self.present
        if present is None or present.appeared is None:
            return wire.FlexibleIPState.RESERVED
        if present.vanished is not None:
            return wire.FlexibleIPState.DETACHING if self.waiting is None else wire.FlexibleIPState.MOVING
        if present.appeared <= present.target.realized_revision:
            return wire.FlexibleIPState.ATTACHED
        return wire.FlexibleIPState.ATTACHING

    def changed(self, at: datetime) -> None:
        self.revision += 1
        self.updated_at = at

    def require_held(self) -> None:
        """Raises Quarantined once it is released."""
        if self.released_at is not None:
            raise Quarantined(f"{self.address} was released; `:restore` it first")

    def require_settled_on(self, expected: wire.TargetRef | None) -> Attachment:
        """The attachment to end. Raises NotAttached, NotAttachedThere, InTransition while it is already leaving."""
        present = self.present
        if present is None:
            raise NotAttached(f"{self.address} is attached to nothing")
        if expected is not None and not present.serves(expected):
            raise NotAttachedThere(f"{self.address} is attached to {present.target_kind} {present.target_id}")
        if present.vanished is not None:
            raise InTransition(f"{self.address} is leaving {present.target_kind} {present.target_id} already; wait")
        return present

    def require_detached(self) -> None:
        """Raises AlreadyAttached, or InTransition while the nodes of the old target may still answer for it."""
        present = self.present
        if present is None:
            return
        if present.vanished is not None:
            raise InTransition(f"{self.address} is still leaving {present.target_kind} {present.target_id}; wait")
        raise AlreadyAttached(f"{self.address} is attached to {present.target_kind} {present.target_id}; use :move")

    def require_same_zone(self, target: Target) -> None:
        """Raises ZoneMismatch."""
        if self.zone != target.zone:
            raise ZoneMismatch(f"{self.address} is in {self.zone}, {target.kind} {target.id} is in {target.zone}")

    def require_failover(self) -> None:
        """Raises NotFailover."""
        if self.kind != wire.FlexibleIPKind.FAILOVER:
            raise NotFailover(f"{self.address} is a {self.kind} address")

    def candidate(self, target: wire.TargetRef) -> Candidate | None:
        return next((candidate for candidate in self.candidates if candidate.is_of(target)), None)

    def become_candidate(self, target: wire.TargetRef) -> None:
        """Of a failover address, make `target` a candidate if it is none. Raises CandidatesFull."""
        if self.kind != wire.FlexibleIPKind.FAILOVER or self.candidate(target) is not None:
            return
        if len(self.candidates) == wire.CANDIDATES:
            raise CandidatesFull(f"{self.address} has {wire.CANDIDATES} candidates, and {target} is none of them")
        self.stored_candidates.append(_candidate(target, wire.PRIORITY))

    def set_candidates(self, wanted: dict[wire.TargetRef, int]) -> None:
        """Make `wanted`, with their priorities, the candidates. Raises ActiveCandidate without the active one."""
        active = self.active
        if active is not None and active.ref not in wanted:
            raise ActiveCandidate(f"{self.address} is with {active.ref}, which is not among the candidates")
        for candidate in self.candidates:
            if candidate.ref in wanted:
                candidate.priority = wanted[candidate.ref]
            else:
                self.stored_candidates.remove(candidate)
        known = {candidate.ref for candidate in self.candidates}
        self.stored_candidates += [_candidate(ref, priority) for ref, priority in wanted.items() if ref not in known]

    def next_candidate(self, to: wire.TargetRef | None) -> Candidate:
        """`to`, or the best but for the active one. Raises NotCandidate, NoCandidate."""
        if to is not None:
            chosen = self.candidate(to)
            if chosen is None:
                raise NotCandidate(f"{to} is no candidate of {self.address}")
            return chosen
        for candidate in self.candidates:
            if self.active is None or not self.active.serves(candidate.ref):
                return candidate
        raise NoCandidate(f"{self.address} has no other candidate")

    def fail_by_health(self, at: datetime) -> None:
        """Count a failover that nobody asked for. Raises Frozen, HeldDown."""
        if self.frozen_since is not None:
            raise Frozen(f"{self.address} has failed over {FLAPS} times within {FLAP_WINDOW.seconds} s; `:thaw` it")
        hold_down = timedelta(seconds=(self.health_check or {}).get("hold_down_s", 0))
        if self.failovers_at and at < self.failovers_at[-1] + hold_down:
            until = (self.failovers_at[-1] + hold_down).isoformat()
            raise HeldDown(f"{self.address} failed over a short while ago; its health counts again from {until}")
        self.failovers_at = [*self.failovers_at, at][-FLAPS:]
        if len(self.failovers_at) == FLAPS and at - self.failovers_at[0] <= FLAP_WINDOW:
            self.frozen_since = at

    def thaw(self) -> None:
        self.frozen_since, self.failovers_at = None, []

    def serve(self, target: Target, role: str | None, operation: Operation, at: datetime) -> None:
        """Let `target` hold this address from its next revision."""
        target.addresses_revision += 1
        self.attachments.append(
            Attachment(
                target=target,
                target_kind=target.kind,
                target_id=target.id,
                role=role,
                appeared=target.addresses_revision,
                operation_id=operation.id,
                created_at=at,
            )
        )

    def queue_for(self, target: Target, role: str | None, operation: Operation, at: datetime) -> None:
        """Let `target` wait for this address: it gets a revision when the holder's withdrawal is realised."""
        self.attachments.append(
            Attachment(
                target=target,
                target_kind=target.kind,
                target_id=target.id,
                role=role,
                operation_id=operation.id,
                created_at=at,
            )
        )


class Holding(Base):
    """Who held an address when: with a target, or with none while it was merely reserved."""

    __tablename__ = "holding"
    __table_args__ = (
        ExcludeConstraint(
            ("address", "&&"),
            ("held_during", "&&"),
            using="gist",
            name="holding_one_holder",
            ops={"address": "inet_ops"},
        ),
        Index("holding_open_key", "flexible_ip_id", unique=True, postgresql_where=text("upper_inf(held_during)")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    address: Mapped[str] = mapped_column(Cidr)
    flexible_ip_id: Mapped[UUID]
    project: Mapped[str]
    target_kind: Mapped[str | None]
    target_id: Mapped[UUID | None]
    held_during: Mapped[Range[datetime]] = mapped_column(TSTZRANGE)


class Audit(Base):
    """An append-only chain per address: each record holds the hash of the one before."""

    __tablename__ = "audit"

    address: Mapped[str] = mapped_column(Cidr, primary_key=True)
    number: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    flexible_ip_id: Mapped[UUID] = mapped_column(index=True)
    project: Mapped[str]
    at: Mapped[datetime]
    actor: Mapped[str]
    request_id: Mapped[str]
    action: Mapped[str]
    before: Mapped[dict[str, Any] | None]
    after: Mapped[dict[str, Any] | None]
    previous: Mapped[str]
    hash: Mapped[str]


class Operation(OperationColumns, Base):
    """A change that is done when nodes have read it back."""

    __tablename__ = "operation"


class Idempotency(IdempotencyColumns, Base):
    """Answers kept to be given again."""

    __tablename__ = "idempotency"
