"""What the controller's API takes and answers."""

from __future__ import annotations

import enum
from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, ConfigDict, Field, RootModel

from common.operations import Operation, OperationState
from common.wire import Answer, Body, Name, Project, Status, Text, examples
from services.placement.conversion.phases import CANARY, FORWARD, SIZE, WAVES, Phase, PortState
from services.placement.conversion.prechecks import Effect, PartOf
from services.placement.trace.judge import Direction, Nature
from services.placement.trace.way import Part, Verdict

__all__ = ["Name", "Operation", "OperationState", "Project", "Text"]

MAX = 2**31 - 1
Amount = Annotated[int, Field(ge=0, le=MAX)]
Unit = Annotated[int, Field(ge=1, le=MAX)]
ResourceClass = Annotated[str, Field(pattern=r"^[A-Z0-9_]{1,255}$", examples=["VCPU", "MEMORY_MB", "DISK_GB"])]


class Resources(RootModel[dict[ResourceClass, int]]):
    """How much of each resource class, in OpenStack Placement's classes and units."""


class Stack(enum.StrEnum):
    """How public addresses reach guests. `dual`: both ways, new instances are routed unless asked otherwise."""

    NAT = "nat"
    DUAL = "dual"
    ROUTED = "routed"


class NodeRole(enum.StrEnum):
    HYPERVISOR = "hypervisor"
    GATEWAY = "gateway"
    EDGE = "edge"


class AdminState(enum.StrEnum):
    """What people want of a node. `disabled`: it takes no more instances; `draining`, `drained`: nor keeps any."""

    ENABLED = "enabled"
    DISABLED = "disabled"
    DRAINING = "draining"
    DRAINED = "drained"


class Condition(enum.StrEnum):
    """What the controller sees of a node: derived from its last heartbeat."""

    UP = "up"
    UNREACHABLE = "unreachable"


class EvidenceKind(enum.StrEnum):
    """Why it is certain that nothing runs on a node any more."""

    POWER_OFF = "power_off"
    OPERATOR = "operator"


class Evidence(Body):
    """Silence is none. `ref`: where it can be looked up: a ticket, a power controller's answer."""

    kind: EvidenceKind
    ref: Text = Field(min_length=1)


class Fence(Evidence):
    """Why, by whom and when a node was fenced."""

    by: str
    at: datetime


class Mode(enum.StrEnum):
    """How a port's public addresses reach its guest."""

    NAT = "nat"
    HOSTNAT = "hostnat"  # what a conversion makes of `nat`: rewritten at the guest's own link
    ROUTED = "routed"
    ISOLATED = "isolated"


class InstanceState(enum.StrEnum):
    """Derived from where the instance is bound and what is being done with it."""

    CREATING = "creating"
    RUNNING = "running"
    MOVING = "moving"
    STOPPING = "stopping"
    ARCHIVED = "archived"
    STARTING = "starting"
    DELETING = "deleting"
    CONVERTING = "converting"
    RESTARTING = "restarting"


# --- zones and nodes (operator) --------------------------------------------------------------------------------------


class Zone(Answer):
    """An availability zone."""

    name: Name
    region: Name
    stack: Stack
    revision: int


class ZonePut(Body):
    """A zone's region and stack, set once."""

    model_config = examples({"region": "region-1", "stack": "dual"})

    region: Name
    stack: Stack


class Inventory(Body):
    """A node's supply of one resource class, in OpenStack Placement's terms."""

    resource_class: ResourceClass
    total: Amount
    reserved: Amount = 0
    min_unit: Unit = 1
    max_unit: Unit = MAX
    step_size: Unit = 1
    allocation_ratio: float = Field(1.0, gt=0, le=1e6, allow_inf_nan=False)


class Allocation(Answer):
    """What one consumer holds of a node: an instance, or a move until it is done."""

    consumer: UUID
    project: str
    node: str
    resources: Resources


class Node(Answer):
    """A machine with a netagent."""

    id: UUID
    name: Name
    zone: Name
    role: NodeRole
    admin_state: AdminState
    condition: Condition
    fabric: Condition | None = Field(description="As its edges see it; null: they do not say.")
    fence: Fence | None = Field(description="Asked for: the edges are to hold it apart.")
    fenced: bool = Field(description="Read back: the edges hold it apart, and it counts as withdrawn.")
    operation: str | None = Field(description="The Operation that is changing it as a whole.")
    agent_url: str
    endpoint: str = Field(description="The node's address in the fabric.", examples=["172.31.1.2"])
    endpoint_ipv6: str | None = Field(description="The same in IPv6: the next hop of what it announces.")
    neighbours: list[str] = Field(description="Its ends of its links to the edge.")
    private_prefix: str | None = Field(None, description="Node-bound IPv4 of its NAT guests.")
    legacy_prefix: str | None = Field(None, description="Node-bound IPv6 of its NAT guests: it changes on moves.")
    inventories: list[Inventory]
    used: Resources
    traits: list[str]
    instances: int
    generation: int = Field(description="Version of what the node must hold.")
    applied_generation: int = Field(
        description="Version that its agent last confirmed; its kernel holds that, but for `failures`."
    )
    failures: list[str] = Field([], description="Entries its kernel refused, in words.")
    seen_at: datetime | None = Field(None, description="When its agent last answered.")
    revision: int


class NodePut(Body):
    """Registers a node, or changes it. Name, zone and role are set once."""

    model_config = examples(
        {
            "name": "gateway-1",
            "zone": "zone-1",
            "role": "gateway",
            "agent_url": "https://172.30.0.11:8443",
            "endpoint": "172.31.11.2",
        },
        {
            "name": "hypervisor-1",
            "zone": "zone-1",
            "role": "hypervisor",
            "agent_url": "https://172.30.0.21:8443",
            "endpoint": "172.31.21.2",
            "private_prefix": "10.21.0.0/24",
            "legacy_prefix": "2001:db8:21::/48",
            "inventories": [
                {"resource_class": "VCPU", "total": 16, "allocation_ratio": 4.0},
                {"resource_class": "MEMORY_MB", "total": 65536, "reserved": 2048},
                {"resource_class": "DISK_GB", "total": 1000},
            ],
        },
    )

    name: Name
    zone: Name
    role: NodeRole
    agent_url: str = Field(max_length=255, pattern=r"^https://[!-~]+$")
    endpoint: str = Field(max_length=64, examples=["172.31.1.2"])
    endpoint_ipv6: str | None = Field(None, max_length=64)
    neighbours: list[Text] = Field(
        [], max_length=64, description="Its ends of its links to the edge; its endpoint, if none."
    )
    private_prefix: str | None = Field(None, max_length=64)
    legacy_prefix: str | None = Field(None, max_length=64)
    inventories: list[Inventory] = Field([], max_length=64)
    traits: list[Text] = Field([], max_length=255)


class NodeUpdate(Body):
    """`enabled` or `disabled`: draining has a verb of its own."""

    model_config = examples({"admin_state": "disabled"})

    admin_state: AdminState


class NodeFence(Body):
    """Why it is certain that the node is dead."""

    model_config = examples({"evidence": {"kind": "power_off", "ref": "BMC of hypervisor-1, 12:04 UTC"}})

    evidence: Evidence


class NodeDrain(Body):
    """Moves every running instance elsewhere, live."""

    model_config = examples({}, {"concurrency": 8})

    concurrency: int = Field(4, ge=1, le=64, description="Moves at a time.")


class NodeApprove(Body):
    """`digest`: of the removals that are approved, as the node's `failures` name it."""

    model_config = examples({"digest": "a553681e5c12d27e"})

    digest: str = Field(pattern=r"^[0-9a-f]{16}$")


# --- flavours, instances ---------------------------------------------------------------------------------------------


class Flavor(Answer):
    """A size that instances come in."""

    id: UUID
    name: Name
    vcpus: int
    memory_mb: int
    disk_gb: int
    revision: int


class FlavorCreate(Body):
    """A new size."""

    model_config = examples({"name": "medium", "vcpus": 2, "memory_mb": 4096, "disk_gb": 20})

    name: Name
    vcpus: int = Field(ge=1, le=1024)
    memory_mb: int = Field(ge=1, le=2**30)
    disk_gb: int = Field(ge=0, le=2**20)


class PortAddress(Answer):
    """One address of a port. `sequence` is what the fabric compares; 0: never announced on its own."""

    prefix: str
    host: str = Field(description="What the guest configures.")
    flexible_ip: UUID | None = Field(description="Null: bound to the node, changes on moves.")
    announced: bool
    sequence: int


class Port(Answer):
    """An instance's network interface."""

    id: UUID
    mac: str
    mode: Mode
    addresses: list[PortAddress]


class Archive(Answer):
    """Where a stopped instance's disk lies."""

    model_config = ConfigDict(from_attributes=True)

    url: str = Field(examples=["s3://archives/5f0a7d1e-0d5b-4c8e-9a61-2b1f6d1f7a10/…"])
    size_bytes: int
    left_out: int = Field(description="Links, devices and the like, which stayed behind.")
    created_at: datetime


class Instance(Answer):
    """A machine of a customer."""

    id: UUID
    project: str
    zone: Name
    name: Name
    flavor: Name
    state: InstanceState
    hypervisor: Name | None = Field(description="Null while archived.")
    archive: Archive | None = Field(None, description="Its disk, while archived.")
    port: Port
    operation: str | None = Field(description="The Operation that is changing it.")
    revision: int
    created_at: datetime
    updated_at: datetime


class InstanceCreate(Body):
    """`addresses` are reserved flexible IPs; `allocate` reserves one of each named family for it."""

    model_config = examples(
        {"name": "web", "zone": "zone-1", "flavor": "small"},
        {"name": "mail", "zone": "zone-1", "flavor": "small", "mode": "routed", "allocate": ["ipv4", "ipv6"]},
    )

    name: Name
    zone: Name
    flavor: Name
    mode: Mode | None = Field(None, description="Default: what the zone's stack gives.")
    addresses: list[UUID] = Field([], max_length=64)
    allocate: list[Annotated[str, Field(pattern="^ipv[46]$")]] = Field([], max_length=2)
    hypervisor: Name | None = Field(None, description="Role operator: the hypervisor to start on.")


class InstanceStart(Body):
    """May be empty."""

    model_config = examples({})

    hypervisor: Name | None = Field(None, description="Role operator: the hypervisor to start on.")


class InstanceConvert(Body):
    """`gives_up_ipv4`: the owner agrees that a guest without a public IPv4 address loses its 10.x at its next start."""

    model_config = examples({}, {"gives_up_ipv4": True})

    gives_up_ipv4: bool = False


class MoveKind(enum.StrEnum):
    """`live`: the guest runs on. `cold`: it is stopped, its disk goes along, and it is started there."""

    LIVE = "live"
    COLD = "cold"


class InstanceMove(Body):
    """Where it goes; left out, to any other hypervisor."""

    model_config = examples({"to": "hypervisor-2"}, {}, {"kind": "cold"})

    to: Name | None = None
    kind: MoveKind = MoveKind.LIVE


# --- conversions of zones (operator) ---------------------------------------------------------------------------------


class Reason(Answer):
    """Why something is not done, and what mends it."""

    code: str = Field(examples=["precheck.stale"])
    text: str
    remedy: str


class Finding(Answer):
    """Something that a precheck saw. Of the fabric's stage it blocks; of the guest's own its owner should know it."""

    part_of: PartOf
    effect: Effect
    reason: Reason


class PredictedAddress(Answer):
    """An address before a conversion and after it. `after` null: it ends, at the seal."""

    before: str
    after: str | None
    ends_at: str | None = Field(None, examples=["seal"])


class Prediction(Answer):
    """What a conversion will do to a port."""

    mode: Mode
    mode_after_restart: Mode
    gap_ms: int
    addresses: list[PredictedAddress]


class PortConversion(Answer):
    """One port in its zone's conversion."""

    instance: UUID
    name: Name
    wave: int
    state: PortState
    reasons: list[Reason] = Field(description="Why it waits, is blocked, or was rolled back.")
    operation: str | None = Field(description="The Operation of the latest attempt, with its timeline.")
    attempts: int
    probes_sent: int = Field(description="Packets that tried it after its switch, by ways that answered before.")
    probes_lost: int
    checked_at: datetime | None
    verified_at: datetime | None
    adopted_at: datetime | None


class PlannedPort(Answer):
    """One port in a plan: its wave, what was found, and what will become of each of its addresses."""

    instance: UUID
    name: Name
    project: str
    wave: int
    findings: list[Finding]
    predicted: Prediction


class PortCounts(RootModel[dict[PortState, int]]):
    """How many ports are in which state; a state with none is left out."""


class Wave(Answer):
    """Ports that are converted together, and judged together before the next."""

    number: int
    phase: Phase
    ports: PortCounts
    started_at: datetime | None
    ended_at: datetime | None


class QueueStatus(Answer):
    """A queue of wake-ups, and the workers that listen to it."""

    name: str = Field(examples=["nodes"])
    waiting: int
    workers: int


class CertificateStatus(Answer):
    """A certificate of the controller's, or the authority of its nodes'. Null: it cannot be read."""

    name: str = Field(examples=["controller"])
    expires_at: datetime | None


class ControllerStatus(Status):
    """The controller, as it is now. Of a silent broker no queue is told."""

    queues: list[QueueStatus]
    certificates: list[CertificateStatus]


class Conversion(Answer):
    """A zone's passage off the central NAT."""

    id: UUID
    zone: Name
    phase: Phase
    through: Phase = Field(description="It pauses by itself at the end of this phase.")
    paused: list[Reason] = Field(description="Empty: it goes on. A person resumes it.")
    in_flight: int
    failure_budget: int
    soak_s: int
    restarts_guests: bool
    operation: str | None = Field(description="Null until it is started.")
    waves: list[Wave]
    ports: PortCounts
    ports_per_s: float | None = Field(description="From the first port checked to the last one verified.")
    estimated_end: datetime | None
    probes_sent: int
    probes_lost: int
    attempts: int
    revision: int
    created_at: datetime


Waves = Annotated[list[Annotated[str, Field(pattern=SIZE)]], Field(max_length=32)]


def _on_the_way(phase: Phase) -> Phase:
    if phase not in FORWARD:
        raise ValueError(f"a conversion does not come through {phase}")
    return phase


Through = Annotated[Phase, AfterValidator(_on_the_way)]


class ConversionCreate(Body):
    """Plans a zone's conversion; nothing of the zone changes before it is started."""

    model_config = examples(
        {"zone": "zone-1"},
        {"zone": "zone-1", "through": "canary", "in_flight": 20, "canary": ["1", "10"], "waves": ["10%", "50%"]},
    )

    zone: Name
    through: Through = Field(Phase.DONE, description="Pause at the end of this phase.")
    in_flight: int = Field(50, ge=1, le=1000, description="Ports between two modes at a time.")
    failure_budget: int = Field(10, ge=0, le=MAX, description="Ports that may fail before it pauses by itself.")
    soak_s: int = Field(604_800, ge=0, le=MAX, description="From a guest's adoption of its address to the seal.")
    restarts_guests: bool = Field(False, description="In the tail, those that have not restarted by then.")
    canary: Waves = Field(list(CANARY), description="Waves before the others, ports or a share of all.")
    waves: Waves = Field(list(WAVES), min_length=1, description="The others; the last goes on to the end.")
    internal_project: Project | None = Field(None, description="Whose instances are converted first.")


class ConversionPlan(Conversion):
    """A conversion as planned, with every port."""

    addresses_changed: int = Field(description="Public or IPv6 addresses that the conversion would change.")
    planned: list[PlannedPort]


class ConversionResume(Body):
    """Goes on where it was paused."""

    model_config = examples({}, {"through": "waves"})

    through: Through = Field(Phase.DONE, description="Pause at the end of this phase.")


class ConversionPause(Body):
    """Why it is paused, for those who find it so."""

    model_config = examples({"reason": "the evening of the sale"})

    reason: Text = "asked for"


# --- traces ----------------------------------------------------------------------------------------------------------


class TraceStep(Answer):
    """One thing that a packet meets: as it was asked for, and as it is."""

    direction: Direction | None = Field(description="Null: both.")
    place: str = Field(examples=["hypervisor-1"])
    part: Part
    asked: str | None
    seen: str | None
    agrees: bool | None = Field(description="Null: not known, or there is nothing to agree with.")


class TraceFinding(Answer):
    """Something to know of an address, by a stable code, and what mends it."""

    code: str = Field(examples=["route.missing"])
    nature: Nature
    place: str
    text: str
    remedy: str
    stops: list[Direction] = Field(description="The directions in which packets do not get through for it.")


class TraceWay(Answer):
    """The places a packet passes, as things are."""

    places: list[str]
    arrives: bool | None = Field(description="Null: not known.")


class Trace(Answer):
    """Where packets for and from an address go, and where that is not what was asked for."""

    address: str
    zone: Name
    instance: Name | None
    port: UUID | None
    verdict: Verdict
    summary: str
    inbound: TraceWay
    outbound: TraceWay
    steps: list[TraceStep]
    findings: list[TraceFinding]


class AddressReachability(Answer):
    """Whether packets reach one address of a port, and leave from it, as read back from the nodes' kernels."""

    address: str
    verdict: Verdict
    summary: str
    inbound: bool | None = Field(description="Null: not known.")
    outbound: bool | None
    findings: list[TraceFinding]


class Reachability(Answer):
    """How the addresses of a port are reached; none of a port in mode `isolated`."""

    port: UUID
    mode: Mode
    addresses: list[AddressReachability]
