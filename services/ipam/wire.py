"""What the ledger's API takes and answers."""

from __future__ import annotations

import enum
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from common.operations import Operation, OperationState

__all__ = ["Operation", "OperationState"]

Name = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$", examples=["zone-a"])]
Labels = dict[Annotated[str, Field(max_length=63)], Annotated[str, Field(max_length=255)]]


class Family(enum.StrEnum):
    IPV4 = "ipv4"
    IPV6 = "ipv6"


class FlexibleIPKind(enum.StrEnum):
    STANDARD = "standard"
    FAILOVER = "failover"


class FlexibleIPState(enum.StrEnum):
    """Derived, never set: `attached` only when the nodes have read it back from their kernels."""

    RESERVED = "reserved"
    ATTACHING = "attaching"
    ATTACHED = "attached"
    MOVING = "moving"  # from one target to another: waits for the old node's withdrawal
    DETACHING = "detaching"
    QUARANTINED = "quarantined"


class Body(BaseModel):
    """A request body: unknown fields are an error."""

    model_config = ConfigDict(extra="forbid")


class TargetRef(Body):
    """What an address can be attached to. IPAM does not know what it is."""

    kind: Name = Field(examples=["instance"])
    id: UUID


# --- zones, pools, prefixes (operator, service) ----------------------------------------------------------------------


class Zone(BaseModel):
    name: Name
    region: Name
    accepts_regional: bool = False
    revision: int


class ZonePut(Body):
    region: Name
    accepts_regional: bool = False


class Prefix(BaseModel):
    id: UUID
    pool: str
    cidr: str = Field(examples=["198.18.16.0/22"])
    created_at: datetime


class Pool(BaseModel):
    """A zone's supply of addresses of one family."""

    id: UUID
    name: Name
    zone: Name
    family: Family
    prefix_length: int = Field(description="Length of what a reservation gets: 32 for IPv4, 64 for IPv6 by default.")
    quarantine_seconds: int
    prefixes: list[Prefix]
    revision: int


class PoolCreate(Body):
    name: Name
    zone: Name
    family: Family
    prefix_length: int | None = None
    quarantine_seconds: int = Field(300, ge=0, le=30 * 86400)


class PoolUpdate(Body):
    quarantine_seconds: int = Field(ge=0, le=30 * 86400)


class PrefixCreate(Body):
    cidr: str = Field(examples=["198.18.16.0/22"])


class Quota(BaseModel):
    """How many addresses of a family a project may hold, and holds now."""

    project: str
    family: Family
    limit: int
    used: int
    revision: int


class QuotaPut(Body):
    limit: int = Field(ge=0, le=10_000_000)


# --- flexible IPs (member) -------------------------------------------------------------------------------------------


class Attachment(BaseModel):
    target: TargetRef
    role: str | None = None
    attached_at: datetime


class FlexibleIP(BaseModel):
    """A customer's address: it belongs to a project, not to a product."""

    id: UUID
    project: str
    zone: Name
    pool: Name
    family: Family
    kind: FlexibleIPKind
    address: str = Field(description="An IPv4 address, or an IPv6 prefix.", examples=["198.18.16.7", "2001:db8:1::/64"])
    interface_id: str | None = Field(
        None, description="IPv6: the whole address a guest takes within the prefix; it stays with the prefix on moves."
    )
    name: str | None = None
    labels: Labels = {}
    protected: bool = False
    state: FlexibleIPState
    attachment: Attachment | None = None
    next_attachment: Attachment | None = Field(None, description="While `moving`: where it goes.")
    quarantined_until: datetime | None = None
    revision: int
    created_at: datetime
    updated_at: datetime


class FlexibleIPReserve(Body):
    """`pool` or `zone` and `family`; `address` to ask for one by name."""

    zone: Name
    family: Family = Family.IPV4
    pool: Name | None = None
    address: str | None = Field(None, examples=["198.18.16.7"])
    name: str | None = Field(None, max_length=255)
    labels: Labels = {}
    project: str | None = Field(None, description="Role `service` only: reserve on behalf of a project.")


class FlexibleIPUpdate(Body):
    name: str | None = Field(None, max_length=255)
    labels: Labels | None = None
    protected: bool | None = None


class Attach(Body):
    target: TargetRef
    role: str | None = Field(None, max_length=63)


class Detach(Body):
    from_: TargetRef | None = Field(None, alias="from", description="Refused unless it is attached to this target.")


class Move(Body):
    from_: TargetRef = Field(alias="from")
    to: TargetRef


class Holding(BaseModel):
    """Who held an address, and when. `until` is null while it lasts."""

    address: str
    project: str
    target: TargetRef | None = Field(description="Null: reserved, attached to nothing.")
    since: datetime
    until: datetime | None


class AuditRecord(BaseModel):
    """One change of one address: an append-only chain (`previous` is the hash of the record before)."""

    number: int
    address: str
    at: datetime
    actor: str
    request_id: str
    action: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    previous: str
    hash: str


# --- targets and address sets (service) ------------------------------------------------------------------------------


class TargetPut(Body):
    """Registered by the service that owns the product, with a token bound to the target's kind."""

    project: str
    zone: Name
    name: str
    limit_ipv4: int = Field(5, ge=0, le=64)
    limit_ipv6: int = Field(5, ge=0, le=64)


class Target(BaseModel):
    kind: Name
    id: UUID
    project: str
    zone: Name
    name: str
    limit_ipv4: int
    limit_ipv6: int
    revision: int


class TargetAddress(BaseModel):
    """One address of a target, as the nodes must realise it."""

    flexible_ip: UUID
    prefix: str = Field(examples=["198.18.16.7/32", "2001:db8:1::/64"])
    host: str = Field(description="What the guest configures.", examples=["198.18.16.7/32", "2001:db8:1::5/64"])
    role: str | None = None


class AddressSet(BaseModel):
    """All addresses of one target. `revision` rises at every change; `realized_revision` follows it."""

    target: TargetRef
    project: str
    zone: Name
    addresses: list[TargetAddress] = Field(description="In the order they were attached.")
    revision: int
    realized_revision: int


class Realized(Body):
    """Placement's report: the nodes hold what `revision` says; `waiting_for` says what is missing if not."""

    realized_revision: int | None = None
    waiting_code: str | None = None
    waiting_text: str | None = None
    waiting_unblock: str | None = None


class LaggingTarget(BaseModel):
    """A target whose addresses are not realised yet: what a sweep looks for."""

    target: TargetRef
    revision: int
    realized_revision: int
