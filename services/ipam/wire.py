"""What the ledger's API takes and answers, and the wake-ups it rings."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, Field

from common.operations import Operation, OperationState
from common.wire import Body, Name

__all__ = ["Name", "Operation", "OperationState"]

QUARANTINE_SECONDS = 300
"""How long what was released rests: by default in a pool, and always when it was carried."""

Labels = dict[Annotated[str, Field(max_length=63)], Annotated[str, Field(max_length=255)]]


class Family(enum.StrEnum):
    IPV4 = "ipv4"
    IPV6 = "ipv6"


class FlexibleIPKind(enum.StrEnum):
    """`failover`: it may go to one of several candidates, of which one is active."""

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


class TargetRef(Body):
    """What an address can be attached to. IPAM does not know what it is."""

    kind: Name = Field(examples=["instance"])
    id: UUID


# --- zones, pools, prefixes (operator, service) ----------------------------------------------------------------------


class Zone(BaseModel):
    """An availability zone, to the ledger a name in a region. `accepts_regional`: regional addresses may come here."""

    name: Name
    region: Name
    accepts_regional: bool = False
    revision: int


class ZonePut(Body):
    region: Name
    accepts_regional: bool = False


class Prefix(BaseModel):
    """A CIDR in a pool."""

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
    quarantine_seconds: int = Field(QUARANTINE_SECONDS, ge=0, le=30 * 86400)


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
    """A flexible IP on a target."""

    target: TargetRef
    role: str | None = None
    attached_at: datetime


class FlexibleIP(BaseModel):
    """A customer's address: it belongs to a project, not to a product."""

    id: UUID
    project: str
    zone: Name
    pool: Name | None = Field(description="Null: it is carried and comes from no pool.")
    carried: bool = Field(
        description="A legacy IPv6 that a conversion adopted: it counts against no quota and no limit."
    )
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
    """Any free address of `family` in `zone`, of its `pool` if one is named; or the one that `address` names."""

    zone: Name
    family: Family = Family.IPV4
    pool: Name | None = None
    address: str | None = Field(None, examples=["198.18.16.7"])
    name: str | None = Field(None, max_length=255)
    labels: Labels = Field({})
    project: str | None = Field(None, description="Roles `service` and `operator`: reserve on behalf of a project.")


class CarriedPrefix(Body):
    """A legacy IPv6 prefix, /48 to /64, on the target that uses it."""

    prefix: str = Field(examples=["2001:db8:a:1::/64"])
    project: str
    name: str | None = Field(None, max_length=255)
    target: TargetRef


class Adopt(Body):
    """Legacy prefixes of one zone that become flexible IPs."""

    zone: Name
    prefixes: list[CarriedPrefix] = Field(min_length=1, max_length=500)


class Adopted(BaseModel):
    """The flexible IPs, in the order asked for."""

    items: list[FlexibleIP]


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


@dataclass(frozen=True, slots=True)
class FlexibleIPFilter:
    """What a list of flexible IPs shows, from its query parameters; None is no restriction."""

    project: str | None = None
    zone: str | None = None
    family: str | None = None
    pool: str | None = None
    state: FlexibleIPState | None = None
    name: str | None = None
    address: str | None = None
    target: tuple[str, UUID] | None = None
    label: dict[str, str] = field(default_factory=dict)
    ids: list[UUID] | None = None


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
    """What an address can be attached to, as the product that owns it registered it: project, zone and limits."""

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
    carried: bool


class AddressSet(BaseModel):
    """All addresses of one target. `revision` rises at every change; `realized_revision` follows it."""

    target: TargetRef
    project: str
    zone: Name
    addresses: list[TargetAddress] = Field(description="In the order they were attached.")
    revision: int
    realized_revision: int


class Waiting(Body):
    """What keeps the nodes of a target, and what would unblock them."""

    code: str = Field(examples=["node.unreachable"])
    text: str
    unblock: str


class Realized(Body):
    """Placement's report: the nodes hold what `realized_revision` says, or `waiting_for` says what keeps them."""

    realized_revision: int | None = None
    waiting_for: Waiting | None = None


class LaggingTarget(BaseModel):
    """A target whose addresses are not realised yet: what a sweep looks for."""

    target: TargetRef
    revision: int
    realized_revision: int


# --- wake-ups --------------------------------------------------------------------------------------------------------

ADDRESS_SET_CHANGED = "ledger.address_set"
"""Carries (kind, id) of the target whose addresses changed; it waits on `queue_of_target(kind)`."""

POOLS_CHANGED = "ledger.pools"
"""Carries nothing: read the pools again."""

POOLS_QUEUE = "pools"


def queue_of_target(kind: str) -> str:
    """Each kind of target has a queue, so that each product's service takes its own."""
    return f"targets.{kind}"
