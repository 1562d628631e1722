"""What the controller's API takes and answers."""

from __future__ import annotations

import enum
from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, Field

from common.operations import Operation, OperationState
from common.wire import Body, Name

__all__ = ["Name", "Operation", "OperationState"]


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
    """What people want of a node."""

    ENABLED = "enabled"
    DISABLED = "disabled"


class Condition(enum.StrEnum):
    """What the controller sees of a node: derived from its last heartbeat."""

    UP = "up"
    UNREACHABLE = "unreachable"


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


# --- zones and nodes (operator) --------------------------------------------------------------------------------------


class Zone(BaseModel):
    name: Name
    region: Name
    stack: Stack
    revision: int


class ZonePut(Body):
    region: Name
    stack: Stack


class Inventory(Body):
    """A node's supply of one resource class, in OpenStack Placement's terms."""

    resource_class: str = Field(examples=["VCPU", "MEMORY_MB", "DISK_GB"])
    total: int = Field(ge=0, le=2**31 - 1)
    reserved: int = Field(0, ge=0, le=2**31 - 1)
    min_unit: int = Field(1, ge=1)
    max_unit: int = Field(2**31 - 1, ge=1)
    step_size: int = Field(1, ge=1)
    allocation_ratio: float = Field(1.0, gt=0)


class Allocation(BaseModel):
    """What one consumer holds of a node: an instance, or a move until it is done."""

    consumer: UUID
    project: str
    node: str
    resources: dict[str, int]


class Node(BaseModel):
    """A machine with a netagent."""

    id: UUID
    name: Name
    zone: Name
    role: NodeRole
    admin_state: AdminState
    condition: Condition
    agent_url: str
    endpoint: str = Field(description="The node's address in the fabric.", examples=["172.31.1.2"])
    endpoint_ipv6: str | None = Field(description="The same in IPv6: the next hop of what it announces.")
    private_prefix: str | None = Field(None, description="Node-bound IPv4 of its NAT guests.")
    legacy_prefix: str | None = Field(None, description="Node-bound IPv6 of its NAT guests: it changes on moves.")
    inventories: list[Inventory]
    used: dict[str, int]
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

    name: Name
    zone: Name
    role: NodeRole
    agent_url: str = Field(pattern=r"^https://")
    endpoint: str
    endpoint_ipv6: str | None = None
    private_prefix: str | None = None
    legacy_prefix: str | None = None
    inventories: list[Inventory] = Field([])
    traits: list[str] = Field([])


class NodeUpdate(Body):
    admin_state: AdminState


# --- flavours, instances ---------------------------------------------------------------------------------------------


class Flavor(BaseModel):
    id: UUID
    name: Name
    vcpus: int
    memory_mb: int
    disk_gb: int
    revision: int


class FlavorCreate(Body):
    name: Name
    vcpus: int = Field(ge=1, le=1024)
    memory_mb: int = Field(ge=1, le=2**30)
    disk_gb: int = Field(ge=0, le=2**20)


class PortAddress(BaseModel):
    """One address of a port. `sequence` is what the fabric compares; 0: never announced on its own."""

    prefix: str
    host: str = Field(description="What the guest configures.")
    flexible_ip: UUID | None = Field(description="Null: bound to the node, changes on moves.")
    announced: bool
    sequence: int


class Port(BaseModel):
    id: UUID
    mac: str
    mode: Mode
    addresses: list[PortAddress]


class Instance(BaseModel):
    """A machine of a customer."""

    id: UUID
    project: str
    zone: Name
    name: Name
    flavor: Name
    state: InstanceState
    hypervisor: Name | None = Field(description="Null while archived.")
    port: Port
    operation: str | None = Field(description="The Operation that is changing it.")
    revision: int
    created_at: datetime
    updated_at: datetime


class InstanceCreate(Body):
    """`addresses` are reserved flexible IPs; `allocate` reserves one of each named family for it."""

    name: Name
    zone: Name
    flavor: Name
    mode: Mode | None = Field(None, description="Default: what the zone's stack gives.")
    addresses: list[UUID] = Field([], max_length=64)
    allocate: list[Annotated[str, Field(pattern="^ipv[46]$")]] = Field([], max_length=2)
    hypervisor: Name | None = Field(None, description="Role operator: the hypervisor to start on.")


class InstanceStart(Body):
    hypervisor: Name | None = Field(None, description="Role operator: the hypervisor to start on.")


class InstanceMove(Body):
    """Live move to `to`, or to any other hypervisor."""

    to: Name | None = None
