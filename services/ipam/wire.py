"""What the ledger's API takes and answers, and the wake-ups it rings."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import AwareDatetime, ConfigDict, Field, RootModel, model_validator

from common.operations import Operation, OperationState
from common.wire import Answer, Body, Name, Project, Revision, Status, Text, examples

__all__ = ["Name", "Operation", "OperationState", "Project", "Text"]

QUARANTINE_SECONDS = 300
"""How long what was released rests: by default in a pool, and always when it was carried."""

CANDIDATES = 10
"""So many a failover address has at most."""

PRIORITY = 100
"""Of a candidate, unless it says otherwise: the highest goes first, as in VRRP (RFC 9568), from which the range is."""

LabelKey = Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[^\x00=]+$")]


class Labels(RootModel[dict[LabelKey, Text]]):
    """What people file an address under; lists are narrowed by one."""

    model_config = examples({"env": "prod"})


WEB = "6f1d3c52-8f5e-4c0e-9b57-3d7f1f0a2e11"
DATABASE = "b3a7c9e4-52d0-4b8e-8f5c-0c9f6a1d7e22"
"""Ids of two targets in the examples."""

FRONT = "0192f0c1-7c1e-7c52-9d3a-0f5e0c3b7a11"
SPARE = "0192f0c1-7c1e-7c52-9d3a-0f5e0c3b7a12"
"""Ids of two flexible IPs in the examples."""

EPOCH, DOOMSDAY = datetime(2000, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
"""Between them lies every moment that a clock can tell."""


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

    model_config = ConfigDict(frozen=True)

    kind: Name = Field(examples=["instance"])
    id: UUID

    def __str__(self) -> str:
        return f"{self.kind} {self.id}"


# --- zones, pools, prefixes (operator, service) ----------------------------------------------------------------------


class Zone(Answer):
    """An availability zone, to the ledger a name in a region. `accepts_regional`: regional addresses may come here."""

    name: Name
    region: Name
    accepts_regional: bool = False
    revision: int


class ZonePut(Body):
    """A zone as placement registers it."""

    model_config = examples({"region": "region-1", "accepts_regional": False})

    region: Name
    accepts_regional: bool = False


Quarantine = Annotated[
    int, Field(ge=0, le=30 * 86400, description="How long a released address rests before it is given again.")
]


class Prefix(Answer):
    """A CIDR in a pool."""

    id: UUID
    pool: str
    cidr: str = Field(examples=["198.18.16.0/22"])
    created_at: datetime


class Pool(Answer):
    """A zone's supply of addresses of one family."""

    id: UUID
    name: Name
    zone: Name
    family: Family
    prefix_length: int = Field(description="Length of what a reservation gets: 32 for IPv4, 64 for IPv6 by default.")
    quarantine_seconds: int
    prefixes: list[Prefix]
    revision: int


class PoolSupply(Answer):
    """How much of a pool is left: `total` and `free` count what a reservation gets."""

    pool: Name
    zone: Name
    family: Family
    total: int
    free: int


class LedgerStatus(Status):
    """The ledger, as it is now."""

    pools: list[PoolSupply]


class PoolCreate(Body):
    """A new pool, empty until it is given prefixes."""

    model_config = examples(
        {"name": "public", "zone": "zone-1", "family": "ipv4", "quarantine_seconds": 300},
        {"name": "public-v6", "zone": "zone-1", "family": "ipv6", "prefix_length": 64},
    )

    name: Name
    zone: Name
    family: Family
    prefix_length: int | None = Field(
        None, description="Length of what a reservation gets: 32 for IPv4; 48 to 64 for IPv6, 64 if left out."
    )
    quarantine_seconds: Quarantine = QUARANTINE_SECONDS


class PoolUpdate(Body):
    """What of a pool may change."""

    model_config = examples({"quarantine_seconds": 600})

    quarantine_seconds: Quarantine


class PrefixCreate(Body):
    """A prefix of the pool's family, its host bits clear, that overlaps none there is."""

    model_config = examples({"cidr": "198.18.16.0/22"}, {"cidr": "2001:db8:16::/48"})

    cidr: Text = Field(examples=["198.18.16.0/22"])


class Quota(Answer):
    """How many addresses of a family a project may hold, and holds now."""

    project: str
    family: Family
    limit: int
    used: int
    revision: int


class QuotaPut(Body):
    """A grant; what a project holds above it, it keeps."""

    model_config = examples({"limit": 50})

    limit: int = Field(ge=0, le=10_000_000)


# --- flexible IPs (member) -------------------------------------------------------------------------------------------


class Attachment(Answer):
    """A flexible IP on a target."""

    target: TargetRef
    role: str | None = None
    attached_at: datetime


class HealthProtocol(enum.StrEnum):
    """`icmp`: it answers an echo request; `tcp`: it accepts a connection."""

    ICMP = "icmp"
    TCP = "tcp"


class HealthCheck(Body):
    """How another node than its holder's finds a failover address down: `threshold` probes in a row unanswered."""

    model_config = examples(
        {"protocol": "icmp"},
        {"protocol": "tcp", "port": 443, "interval_ms": 500, "threshold": 4, "hold_down_s": 60},
    )

    protocol: HealthProtocol
    port: int | None = Field(None, ge=1, le=65535, description="For `tcp`, and only for that.")
    interval_ms: int = Field(200, ge=20, le=60_000)
    threshold: int = Field(3, ge=1, le=20)
    hold_down_s: int = Field(
        10,
        ge=0,
        le=3600,
        description="How long no failover by health follows another: the next holder's time to start.",
    )

    @model_validator(mode="after")
    def _port_of_tcp(self) -> HealthCheck:
        if (self.port is None) is (self.protocol is HealthProtocol.TCP):
            raise ValueError("`port` belongs to `tcp`, and `tcp` has one")
        return self


class CandidatePut(Body):
    """A target that a failover address may go to."""

    target: TargetRef
    priority: int = Field(PRIORITY, ge=1, le=254)


class CandidatesPut(Body):
    """All candidates of a failover address; the active one among them."""

    model_config = examples(
        {
            "candidates": [
                {"target": {"kind": "instance", "id": WEB}, "priority": 200},
                {"target": {"kind": "instance", "id": DATABASE}},
            ]
        }
    )

    candidates: list[CandidatePut] = Field(min_length=1, max_length=CANDIDATES)


class Candidate(Answer):
    """A target that a failover address may go to; the highest `priority` goes first."""

    target: TargetRef
    priority: int
    active: bool = Field(description="The address is there, or on its way.")


class FlexibleIP(Answer):
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
    labels: Labels = Labels({})
    protected: bool = Field(False, description="It cannot be released.")
    state: FlexibleIPState
    attachment: Attachment | None = None
    next_attachment: Attachment | None = Field(None, description="While `moving`: where it goes.")
    candidates: list[Candidate] = Field([], description="Of a failover address; the best first.")
    health_check: HealthCheck | None = None
    frozen_since: datetime | None = Field(
        None, description="It failed over by health 5 times within 180 s, and does not again until `:thaw`."
    )
    quarantined_until: datetime | None = None
    revision: int
    created_at: datetime
    updated_at: datetime


class FlexibleIPReserve(Body):
    """Any free address of `family` in `zone`, of its `pool` if one is named; or the one that `address` names."""

    model_config = examples(
        {"zone": "zone-1"},
        {"zone": "zone-1", "family": "ipv6", "name": "mail", "labels": {"env": "prod"}},
        {"zone": "zone-1", "pool": "public", "address": "198.18.16.200"},
    )

    zone: Name
    family: Family = Family.IPV4
    kind: FlexibleIPKind = FlexibleIPKind.STANDARD
    pool: Name | None = None
    address: Text | None = Field(None, examples=["198.18.16.7"])
    name: Text | None = None
    labels: Labels = Labels({})
    project: Project | None = Field(None, description="Roles `service` and `operator`: reserve on behalf of a project.")


class CarriedPrefix(Body):
    """A legacy IPv6 prefix, /48 to /64, on the target that uses it."""

    prefix: Text = Field(examples=["2001:db8:a:1::/64"])
    project: Project
    name: Text | None = None
    target: TargetRef


class Adopt(Body):
    """Legacy prefixes of one zone that become flexible IPs."""

    model_config = examples(
        {
            "zone": "zone-1",
            "prefixes": [
                {
                    "prefix": "2001:db8:a:1::/64",
                    "project": "red",
                    "name": "web",
                    "target": {"kind": "instance", "id": WEB},
                }
            ],
        }
    )

    zone: Name
    prefixes: list[CarriedPrefix] = Field(min_length=1, max_length=500)


class Adopted(Answer):
    """The flexible IPs, in the order asked for."""

    items: list[FlexibleIP]


class FlexibleIPUpdate(Body):
    """What of a flexible IP may change; what is left out stays."""

    model_config = examples({"name": "front"}, {"labels": {"env": "prod", "tier": "web"}, "protected": True})

    name: Text | None = None
    labels: Labels | None = None
    protected: bool | None = None


class Attach(Body):
    """Where it goes."""

    model_config = examples({"target": {"kind": "instance", "id": WEB}})

    target: TargetRef
    role: Text | None = Field(None, description="What the address is for on its target, in the owner's words.")


class Detach(Body):
    """May be empty."""

    model_config = examples({}, {"from": {"kind": "instance", "id": WEB}})

    from_: TargetRef | None = Field(None, alias="from", description="Refused unless it is attached to this target.")


class Move(Body):
    """From one target to another in one go: the new one gets it when the old one's nodes have let go."""

    model_config = examples({"from": {"kind": "instance", "id": WEB}, "to": {"kind": "instance", "id": DATABASE}})

    from_: TargetRef = Field(alias="from")
    to: TargetRef


class Held(Body):
    """An address, and the target that has it now."""

    flexible_ip: UUID
    target: TargetRef


class Swap(Body):
    """Two addresses that change places."""

    model_config = examples(
        {
            "first": {"flexible_ip": FRONT, "target": {"kind": "instance", "id": WEB}},
            "second": {"flexible_ip": SPARE, "target": {"kind": "instance", "id": DATABASE}},
        }
    )

    first: Held
    second: Held


class FailoverCause(enum.StrEnum):
    """`health`: nobody asked for it, a check did; only a service says so."""

    PERSON = "person"
    HEALTH = "health"


class Failover(Body):
    """To the candidate `to`; by default to the best one but for the active one."""

    model_config = examples({}, {"to": {"kind": "instance", "id": DATABASE}})

    from_: TargetRef | None = Field(
        None, alias="from", description="Refused unless this is the active one. By `health` it is required."
    )
    to: TargetRef | None = None
    cause: FailoverCause = FailoverCause.PERSON

    @model_validator(mode="after")
    def _health_names_whom_it_found_down(self) -> Failover:
        if self.cause is FailoverCause.HEALTH and self.from_ is None:
            raise ValueError("a failover by health names in `from` whom it found down")
        return self


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


class Holding(Answer):
    """Who held an address, and when. `until` is null while it lasts."""

    address: str
    project: str
    target: TargetRef | None = Field(description="Null: reserved, attached to nothing.")
    since: datetime
    until: datetime | None


class Facts(RootModel[dict[str, Any]]):
    """What the chain keeps of a flexible IP, exactly as it is hashed: whose it is, where it is and goes."""


class AuditRecord(Answer):
    """One change of one address: an append-only chain (`previous` is the hash of the record before)."""

    number: int
    address: str
    at: datetime
    actor: str
    request_id: str
    action: str
    before: Facts | None = Field(description="Null: it was not held.")
    after: Facts | None
    previous: str
    hash: str


# --- targets and address sets (service) ------------------------------------------------------------------------------


class TargetPut(Body):
    """Registered by the service that owns the product, with a token bound to the target's kind."""

    model_config = examples({"project": "red", "zone": "zone-1", "name": "web", "limit_ipv4": 5, "limit_ipv6": 5})

    project: Project
    zone: Name
    name: Text
    limit_ipv4: int = Field(5, ge=0, le=64)
    limit_ipv6: int = Field(5, ge=0, le=64)


class Target(Answer):
    """What an address can be attached to, as the product that owns it registered it: project, zone and limits."""

    kind: Name
    id: UUID
    project: str
    zone: Name
    name: str
    limit_ipv4: int
    limit_ipv6: int
    revision: int


class TargetAddress(Answer):
    """One address of a target, as the nodes must realise it."""

    flexible_ip: UUID
    prefix: str = Field(examples=["198.18.16.7/32", "2001:db8:1::/64"])
    host: str = Field(description="What the guest configures.", examples=["198.18.16.7/32", "2001:db8:1::5/64"])
    role: str | None = None
    carried: bool
    candidates: list[Candidate] = Field([], description="Of a failover address; the best first.")
    health_check: HealthCheck | None = None


class AddressSet(Answer):
    """All addresses of one target. `revision` rises at every change; `realized_revision` follows it."""

    target: TargetRef
    project: str
    zone: Name
    addresses: list[TargetAddress] = Field(description="In the order they were attached.")
    revision: int
    realized_revision: int


Prose = Annotated[str, Field(max_length=4096, pattern=r"^[^\x00]*$")]


class Waiting(Body):
    """What keeps the nodes of a target, and what would unblock them."""

    code: Text = Field(examples=["node.unreachable"])
    text: Prose
    unblock: Prose


class Realized(Body):
    """Placement's report: the nodes hold what `realized_revision` says, or `waiting_for` says what keeps them."""

    model_config = examples(
        {"realized_revision": 0, "realized_at": "2026-11-24T11:00:00.125Z"},
        {
            "waiting_for": {
                "code": "node.unreachable",
                "text": "hypervisor-2 does not answer",
                "unblock": "it goes on by itself once the node answers",
            }
        },
    )

    realized_revision: Revision | None = None
    realized_at: AwareDatetime | None = Field(
        None, ge=EPOCH, lt=DOOMSDAY, description="When they had read it back, by placement's clock."
    )
    waiting_for: Waiting | None = None


class LaggingTarget(Answer):
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
