"""What an agent answers, and is asked beside its entries, as JSON."""

from __future__ import annotations

import enum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from uuid import UUID

from pydantic import BaseModel, Field

PROBES_PER_SECOND = 10_000  # that a node sends at most
CHECK_TIMEOUT_MS = 1000  # after which a health check's probe is lost, or after its interval if that is shorter
PROBES_ROOM_S = 2.0  # beyond what a run takes alone, for those that run beside it


class Failure(BaseModel):
    """One entry that the kernel does not hold as asked."""

    kind: str
    key: str  # hex
    code: str
    message: str


class State(BaseModel):
    """The heartbeat: where the agent is, and what its kernel was last seen to hold."""

    epoch: int
    generation: int
    digest: dict[str, str]  # of the entries that were read back; by kind


class Realized(State):
    """The answer to a snapshot or delta, after reading the kernel back."""

    failed: list[Failure] = []


class EdgeRoute(BaseModel):
    """Where the edge's kernel sends a prefix: the next hops it would use, best route only."""

    prefix: str
    next_hops: list[str]  # addresses; empty: unreachable or no route


class PrivatePeer(BaseModel):
    """A 10.x address that a guest, at its own 10.x address, exchanges packets with."""

    peer: IPv4Address
    received: int  # packets, by the guest
    sent: int
    seen_seconds_ago: float


class PortTraffic(BaseModel):
    """What hostnat rewrote on a port's link since the link was made, in packets and IPv4 bytes; and private peers.

    The peers are a sample: of a node's many the longest unseen are forgotten. Seen on ports of every mode.
    """

    port: UUID
    inbound_packets: int
    inbound_bytes: int
    outbound_packets: int
    outbound_bytes: int
    private_peers: list[PrivatePeer]


class ProbeTarget(BaseModel):
    """Whom to send echoes to; `size` in bytes of IP packet, never fragmented."""

    address: IPv4Address | IPv6Address
    size: int = Field(ge=64, le=9000)


class Probes(BaseModel):
    """Echoes to send: `count` to each target, and how long the answer to each is waited for."""

    targets: list[ProbeTarget] = Field(min_length=1, max_length=10_000)
    count: int = Field(ge=1, le=50)
    interval_ms: int = Field(ge=5, le=1000)
    timeout_ms: int = Field(ge=10, le=5000)

    @property
    def sending_s(self) -> float:
        """How long sending takes at most; what has no room by then, because others probe too, is not sent."""
        round_s = len(self.targets) / PROBES_PER_SECOND
        return (self.count - 1) * max(self.interval_ms / 1000, round_s) + round_s + PROBES_ROOM_S

    @property
    def bound_s(self) -> float:
        """Within which it is over."""
        return self.sending_s + self.timeout_ms / 1000


class ProbeResult(ProbeTarget):
    """What became of one target's echoes. `sent` below the count asked for: the node was busy with others'."""

    sent: int
    received: int
    rtt_us: tuple[int, int] | None  # least and median; None: no answer


class Condition(enum.StrEnum):
    """What a health check has found: `unknown` until it is answered, or has not been for long enough."""

    UNKNOWN = "unknown"
    UP = "up"
    DOWN = "down"


class CheckState(BaseModel):
    """What a health check has found of a holder of an address."""

    address: IPv4Address | IPv6Address
    holder: UUID
    condition: Condition
    missed: int  # probes unanswered in a row
    since_ms: int  # how long ago its condition changed, or it began


class ReversePath(enum.StrEnum):
    """What a link asks of a packet's source: nothing, a route back by the same link, or any route (RFC 3704)."""

    OFF = "off"
    STRICT = "strict"
    LOOSE = "loose"


class Observed(BaseModel):
    """What a node's kernel was set up to and has seen, beside its entries."""

    reverse_path: dict[str, ReversePath]  # of IPv4, in effect; by link
    packets: dict[str, int]
    """By what became of them, since the maps were made: at guests' links `dataplane.guard.REASONS`, at a gateway's
    `dataplane.nat.VERDICTS`, at an edge none."""
    room: int | None = None
    """How many more guests' links the tables of a hypervisor take, hostnat or not; null: no hypervisor."""


class Table(enum.StrEnum):
    """A kernel's table, by the class of its rows in `dataplane.entries`."""

    LEG = "leg"
    GUARD_PORT = "guard_port"
    GUARD_ADDRESS = "guard_address"
    HOST_NAT = "host_nat"
    FORWARD = "forward"
    FALLBACK = "fallback"
    GUEST_ADDRESS = "guest_address"
    ANCHOR = "anchor"
    INBOUND = "inbound"
    OUTBOUND = "outbound"
    FENCE = "fence"
    BLACKHOLE = "blackhole"


class Row(BaseModel):
    """One row of a kernel's table: as the node's last order asks for it, and as the kernel holds it now.

    Both by the names of the row's fields; null: it is not asked for, not there. `unreadable`: why it is not known
    whether it is there.
    """

    table: Table
    wanted: dict[str, str] | None
    seen: dict[str, str] | None
    unreadable: str | None = None


class Rows(BaseModel):
    """What a kernel holds of some ports and prefixes, and how far its node has been told."""

    epoch: int
    generation: int
    rows: list[Row]


class RowLookup(BaseModel):
    """Rows that are asked for: those of these ports' links, and of these prefixes there and in the node's tables."""

    ports: list[UUID] = Field(max_length=1000)
    prefixes: list[IPv4Network | IPv6Network] = Field(max_length=1000)


class DiskState(BaseModel):
    """A port's disk, as it is seen from a node."""

    exists: bool
    in_use: bool  # a guest runs on it, or ran when its host died
    archived_at: str | None  # the URL that holds the same, and if it came from there a fragment; null: none does


class DiskArchive(BaseModel):
    """A guest's disk in an object store: what `archive` answers, and `restore` takes."""

    url: str
    digest: str  # SHA-256 of the object, in hex
    size_bytes: int  # of the object
    left_out: int  # links, devices and the like, which stay behind


class Changes(BaseModel):
    """What happened at an edge since event number `after`: lossy, a wake-up only."""

    next: int
    prefixes: list[str] = []  # whose edge routes changed
    checks: list[str] = []  # addresses of whose holders health checks found something new
