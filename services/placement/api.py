"""HTTP of the controller: handlers translate, call, translate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response

from common.http import Unreachable
from common.web import Call, Page, PagingDep, WaitSeconds, changing, creating, reading, refuses, resource, when_final
from services.ipam.client import IpamClient
from services.placement import ledger, wire
from services.placement.conversion.observer import Observer
from services.placement.conversion.phases import PortState
from services.placement.conversion.prechecks import Seen
from services.placement.errors import (
    AddressAmbiguous,
    AddressMalformed,
    AddressUnknown,
    AddressUnusable,
    CapacityExhausted,
    ConversionExists,
    ConversionMode,
    ConversionNodes,
    ConversionPhase,
    ConversionStack,
    ConversionUnknown,
    FlavorInUse,
    FlavorTaken,
    FlavorUnknown,
    HypervisorChosen,
    HypervisorsSilent,
    InstanceBusy,
    InstanceNameReserved,
    InstanceNameTaken,
    InstanceState,
    InstanceUnknown,
    ModeUnsupported,
    NodeBusy,
    NodeEdge,
    NodeFenced,
    NodeFull,
    NodeImmutable,
    NodeInvalid,
    NodeLocalDisk,
    NodeNoRoom,
    NodeNotFenced,
    NodeNotHypervisor,
    NodeTaken,
    NodeUnknown,
    NodeUnsuitable,
    OperationFixed,
    OperationUnknown,
    PlanStale,
    PortUnknown,
    PrefixExhausted,
    PrefixInUse,
    PrefixOverlap,
    SameHypervisor,
    SoakUnfinished,
    WithdrawalChanged,
    ZoneImmutable,
    ZoneUnknown,
)
from services.placement.products import instance as product
from services.placement.service import cancelling, conversions, flavors, nodes, operations, status, zones
from services.placement.service.status import Surroundings
from services.placement.trace.gather import Tracer
from services.placement.trace.present import reachability_wire, trace_wire

TAGS = {
    "zones": "Availability zones: how public addresses reach guests there.",
    "nodes": "Machines with an agent: hypervisors, gateways, edges; what they supply and what of it is held.",
    "flavors": "The sizes that instances come in.",
    "instances": "Machines of customers: where they run, and how their addresses reach them.",
    "conversions": "A zone's passage off the central NAT, wave by wave.",
    "traces": "Where packets for an address go, and what keeps them.",
    "status": "The service itself, for whoever looks after it.",
    "operations": "Changes that take a while: list them, watch them.",
}

Reader = Annotated[Call, Depends(reading("reader"))]
Member = Annotated[Call, Depends(changing("member"))]
MemberCreates = Annotated[Call, Depends(creating("member"))]
OperatorReads = Annotated[Call, Depends(reading("operator"))]
Operator = Annotated[Call, Depends(changing("operator"))]
OperatorCreates = Annotated[Call, Depends(creating("operator"))]

PLACING = (CapacityExhausted, HypervisorsSilent, NodeUnknown, NodeUnsuitable, NodeFull, PrefixExhausted)
"""What looking for a hypervisor with room may end in."""

ZoneFilter = Annotated[wire.Name | None, Query(description="Only of this zone.")]
NameFilter = Annotated[wire.Name | None, Query(description="Only what bears this name.")]

router = APIRouter(prefix="/placement/v1")


def _ledger(request: Request) -> IpamClient:
    client: IpamClient = request.app.state.ledger
    return client


def _observer(request: Request) -> Observer:
    observer: Observer = request.app.state.observer
    return observer


Ledger = Annotated[IpamClient, Depends(_ledger)]


def _tracer(request: Request) -> Tracer:
    tracer: Tracer = request.app.state.tracer
    return tracer


Tracing = Annotated[Tracer, Depends(_tracer)]
Observing = Annotated[Observer, Depends(_observer)]


def _around(request: Request) -> Surroundings:
    around: Surroundings = request.app.state.surroundings
    return around


Around = Annotated[Surroundings, Depends(_around)]

# --- the service itself ------------------------------------------------------------------------------------------


@router.get("/status", operation_id="getControllerStatus", tags=["status"])
def get_status(call: OperatorReads, around: Around) -> wire.ControllerStatus:
    """Tell versions, clock, broker, queues and their workers, certificates, and the oldest undone Operations."""
    queues, certificates = around.queues(), around.certificates()
    return call.read(lambda tx: status.of(tx, queues, certificates))


# --- zones -------------------------------------------------------------------------------------------------------


@router.put(
    "/zones/{name}",
    operation_id="putZone",
    tags=["zones"],
    response_model=wire.Zone,
    responses=refuses(ZoneImmutable, Unreachable),
)
def put_zone(name: wire.Name, body: wire.ZonePut, call: Operator, ipam: Ledger) -> Response:
    """Register a zone, here and in the ledger."""
    answer = call.run(lambda tx: zones.put_zone(tx, name, body, call.expected_revision))
    if not call.validate_only:
        ledger.put_zone(ipam, call.read(lambda tx: zones.get_zone(tx, name)))
    return answer


@router.get("/zones", operation_id="listZones", tags=["zones"])
def list_zones(call: Reader, paging: PagingDep) -> Page[wire.Zone]:
    """List the zones."""
    return call.read(lambda tx: zones.list_zones(tx, paging))


@router.get(
    "/zones/{name}",
    operation_id="getZone",
    tags=["zones"],
    response_model=wire.Zone,
    responses=refuses(ZoneUnknown),
)
def get_zone(name: wire.Name, call: Reader) -> Response:
    """Read a zone."""
    return resource(call.read(lambda tx: zones.get_zone(tx, name)))


# --- nodes -------------------------------------------------------------------------------------------------------


@router.put(
    "/nodes/{node_id}",
    operation_id="putNode",
    tags=["nodes"],
    response_model=wire.Node,
    responses=refuses(ZoneUnknown, NodeInvalid, NodeImmutable, NodeTaken, PrefixOverlap, PrefixInUse),
)
def put_node(node_id: UUID, body: wire.NodePut, call: Operator) -> Response:
    """Register a node, or change what may change."""
    return call.run(lambda tx: nodes.put_node(tx, node_id, body, call.expected_revision))


@router.get("/nodes", operation_id="listNodes", tags=["nodes"])
def list_nodes(
    call: OperatorReads,
    paging: PagingDep,
    zone: ZoneFilter = None,
    role: Annotated[wire.NodeRole | None, Query(description="Only in this role.")] = None,
    name: NameFilter = None,
) -> Page[wire.Node]:
    """List the nodes."""
    return call.read(lambda tx: nodes.list_nodes(tx, paging, zone, role, name))


@router.get(
    "/nodes/{node_id}",
    operation_id="getNode",
    tags=["nodes"],
    response_model=wire.Node,
    responses=refuses(NodeUnknown),
)
def get_node(node_id: UUID, call: OperatorReads) -> Response:
    """Read a node."""
    return resource(call.read(lambda tx: nodes.get_node(tx, node_id)))


@router.patch(
    "/nodes/{node_id}",
    operation_id="updateNode",
    tags=["nodes"],
    response_model=wire.Node,
    responses=refuses(NodeUnknown, NodeInvalid, NodeBusy),
)
def update_node(node_id: UUID, body: wire.NodeUpdate, call: Operator) -> Response:
    """Enable or disable scheduling on a node; what runs there stays."""
    return call.run(lambda tx: nodes.update_node(tx, node_id, body, call.expected_revision))


@router.get(
    "/nodes/{node_id}/allocations",
    operation_id="listAllocations",
    tags=["nodes"],
    responses=refuses(NodeUnknown),
)
def list_allocations(node_id: UUID, call: OperatorReads, paging: PagingDep) -> Page[wire.Allocation]:
    """List what is held of a node, consumer by consumer."""
    return call.read(lambda tx: nodes.list_allocations(tx, node_id, paging))


@router.post(
    "/nodes/{node_id}:fence",
    operation_id="fenceNode",
    tags=["nodes"],
    status_code=202,
    response_model=wire.Operation,
    responses=refuses(NodeUnknown, NodeEdge, NodeFenced, NodeBusy),
)
def fence_node(node_id: UUID, body: wire.NodeFence, call: Operator) -> Response:
    """Have the edges hold a dead node apart; what it announced counts as withdrawn once they do."""
    return call.run(lambda tx: nodes.fence(tx, call.principal, node_id, body, call.expected_revision), 202)


@router.post(
    "/nodes/{node_id}:unfence",
    operation_id="unfenceNode",
    tags=["nodes"],
    status_code=202,
    response_model=wire.Operation,
    responses=refuses(NodeUnknown, NodeNotFenced, NodeBusy),
)
def unfence_node(node_id: UUID, call: Operator) -> Response:
    """Let a node in again, once it has read back that it holds what is its, and nothing else."""
    return call.run(lambda tx: nodes.unfence(tx, call.principal, node_id, call.expected_revision), 202)


@router.post(
    "/nodes/{node_id}:evacuate",
    operation_id="evacuateNode",
    tags=["nodes"],
    status_code=202,
    response_model=wire.Operation,
    responses=refuses(NodeUnknown, NodeNotHypervisor, NodeNotFenced, NodeLocalDisk, NodeBusy),
)
def evacuate_node(node_id: UUID, call: Operator) -> Response:
    """Start every instance of a fenced node elsewhere, its addresses kept."""
    return call.run(lambda tx: nodes.evacuate(tx, call.principal, node_id, call.expected_revision), 202)


@router.post(
    "/nodes/{node_id}:drain",
    operation_id="drainNode",
    tags=["nodes"],
    status_code=202,
    response_model=wire.Operation,
    responses=refuses(NodeUnknown, NodeNotHypervisor, NodeFenced, NodeLocalDisk, NodeNoRoom, NodeBusy),
)
def drain_node(node_id: UUID, body: wire.NodeDrain, call: Operator) -> Response:
    """Move every running instance of a node elsewhere, a few at a time; it takes no more."""
    return call.run(lambda tx: nodes.drain(tx, call.principal, node_id, body, call.expected_revision), 202)


@router.post(
    "/nodes/{node_id}:undrain",
    operation_id="undrainNode",
    tags=["nodes"],
    response_model=wire.Node,
    responses=refuses(NodeUnknown, NodeFenced, NodeBusy),
)
def undrain_node(node_id: UUID, call: Operator) -> Response:
    """Let a node take instances again; a drain that goes on ends here."""
    return call.run(lambda tx: nodes.undrain(tx, node_id, call.expected_revision))


@router.post(
    "/nodes/{node_id}:approve",
    operation_id="approveWithdrawal",
    tags=["nodes"],
    response_model=wire.Operation,
    responses=refuses(NodeUnknown, WithdrawalChanged),
)
def approve_withdrawal(node_id: UUID, body: wire.NodeApprove, call: Operator) -> Response:
    """Let go what a withdraw budget holds back: just the removals that the digest names."""
    return call.run(lambda tx: nodes.approve(tx, call.principal, node_id, body.digest, call.expected_revision))


# --- flavours ----------------------------------------------------------------------------------------------------


@router.post(
    "/flavors",
    operation_id="createFlavor",
    tags=["flavors"],
    status_code=201,
    response_model=wire.Flavor,
    responses=refuses(FlavorTaken),
)
def create_flavor(body: wire.FlavorCreate, call: OperatorCreates) -> Response:
    """Make a flavour."""
    return call.run(lambda tx: flavors.create_flavor(tx, body), 201)


@router.get("/flavors", operation_id="listFlavors", tags=["flavors"])
def list_flavors(call: Reader, paging: PagingDep) -> Page[wire.Flavor]:
    """List the flavours."""
    return call.read(lambda tx: flavors.list_flavors(tx, paging))


@router.get(
    "/flavors/{name}",
    operation_id="getFlavor",
    tags=["flavors"],
    response_model=wire.Flavor,
    responses=refuses(FlavorUnknown),
)
def get_flavor(name: wire.Name, call: Reader) -> Response:
    """Read a flavour."""
    return resource(call.read(lambda tx: flavors.get_flavor(tx, name)))


@router.delete(
    "/flavors/{name}",
    operation_id="deleteFlavor",
    tags=["flavors"],
    response_model=wire.Flavor,
    responses=refuses(FlavorUnknown, FlavorInUse),
)
def delete_flavor(name: wire.Name, call: Operator) -> Response:
    """Delete a flavour that no instance has; answers what it was."""
    return call.run(lambda tx: flavors.delete_flavor(tx, name, call.expected_revision))


# --- instances ---------------------------------------------------------------------------------------------------


@router.post(
    "/instances",
    operation_id="createInstance",
    tags=["instances"],
    status_code=202,
    response_model=wire.Operation,
    responses=refuses(
        ZoneUnknown,
        FlavorUnknown,
        ModeUnsupported,
        AddressUnusable,
        InstanceNameTaken,
        InstanceNameReserved,
        HypervisorChosen,
        Unreachable,
        *PLACING,
    ),
)
def create_instance(body: wire.InstanceCreate, call: MemberCreates, ipam: Ledger) -> Response:
    """Create an instance: place it, give it its addresses and start it."""

    def usable_in_mode() -> str:
        mode = call.read(lambda tx: product.zone_and_mode(tx, body))
        ledger.check_addresses(ipam, call.principal.project, body.zone, mode, body.addresses, body.allocate)
        return mode

    return call.run_after(usable_in_mode, lambda tx, mode: product.create(tx, call.principal, body, mode), 202)


@router.get("/instances", operation_id="listInstances", tags=["instances"])
def list_instances(
    call: Reader,
    paging: PagingDep,
    zone: ZoneFilter = None,
    name: NameFilter = None,
    hypervisor: Annotated[wire.Name | None, Query(description="Only those on this hypervisor.")] = None,
) -> Page[wire.Instance]:
    """List instances."""
    return call.read(lambda tx: product.page(tx, call.principal, paging, zone, name, hypervisor))


@router.get(
    "/instances/{instance_id}",
    operation_id="getInstance",
    tags=["instances"],
    response_model=wire.Instance,
    responses=refuses(InstanceUnknown),
)
def get_instance(instance_id: UUID, call: Reader) -> Response:
    """Read an instance."""
    return resource(call.read(lambda tx: product.get(tx, call.principal, instance_id)))


@router.post(
    "/instances/{instance_id}:start",
    operation_id="startInstance",
    tags=["instances"],
    status_code=202,
    response_model=wire.Operation,
    responses=refuses(
        InstanceUnknown,
        InstanceBusy,
        InstanceState,
        HypervisorChosen,
        *PLACING,
    ),
)
def start_instance(instance_id: UUID, body: wire.InstanceStart, call: Member) -> Response:
    """Start an archived instance, possibly elsewhere; its disk and its addresses come along."""
    return call.run(lambda tx: product.start(tx, call.principal, instance_id, body, call.expected_revision), 202)


@router.post(
    "/instances/{instance_id}:stop",
    operation_id="stopInstance",
    tags=["instances"],
    status_code=202,
    response_model=wire.Operation,
    responses=refuses(InstanceUnknown, InstanceBusy, InstanceState),
)
def stop_instance(instance_id: UUID, call: Member) -> Response:
    """Archive an instance: its disk goes to the object store, compute is freed, addresses stay attached.

    A disk that the store does not take leaves the instance running where it is.
    """
    return call.run(lambda tx: product.stop(tx, call.principal, instance_id, call.expected_revision), 202)


@router.post(
    "/instances/{instance_id}:restart",
    operation_id="restartInstance",
    tags=["instances"],
    status_code=202,
    response_model=wire.Operation,
    responses=refuses(InstanceUnknown, InstanceBusy, InstanceState),
)
def restart_instance(instance_id: UUID, call: Member) -> Response:
    """Stop and start it where it is. One that was converted takes its public addresses itself then."""
    return call.run(lambda tx: product.restart(tx, call.principal, instance_id, call.expected_revision), 202)


@router.post(
    "/instances/{instance_id}:move",
    operation_id="moveInstance",
    tags=["instances"],
    status_code=202,
    response_model=wire.Operation,
    responses=refuses(
        InstanceUnknown,
        InstanceBusy,
        InstanceState,
        SameHypervisor,
        NodeLocalDisk,
        *PLACING,
    ),
)
def move_instance(instance_id: UUID, body: wire.InstanceMove, call: Operator) -> Response:
    """Move a running instance to another hypervisor, live or cold, its addresses kept."""
    return call.run(lambda tx: product.move(tx, call.principal, instance_id, body, call.expected_revision), 202)


@router.post(
    "/instances/{instance_id}:convert",
    operation_id="convertInstance",
    tags=["instances"],
    status_code=202,
    response_model=wire.Operation,
    responses=refuses(InstanceUnknown, InstanceBusy, ConversionMode, ConversionStack),
)
def convert_instance(instance_id: UUID, body: wire.InstanceConvert, call: Member) -> Response:
    """Take an instance off the central NAT while it works: `nat` becomes `hostnat`, every address is kept."""
    return call.run(lambda tx: product.convert(tx, call.principal, instance_id, body, call.expected_revision), 202)


@router.post(
    "/instances/{instance_id}:revert",
    operation_id="revertInstance",
    tags=["instances"],
    status_code=202,
    response_model=wire.Operation,
    responses=refuses(InstanceUnknown, InstanceBusy, ConversionMode, ConversionStack),
)
def revert_instance(instance_id: UUID, call: Member) -> Response:
    """The way back: `hostnat` becomes `nat` again, the guest undisturbed."""
    return call.run(lambda tx: product.revert(tx, call.principal, instance_id, call.expected_revision), 202)


@router.delete(
    "/instances/{instance_id}",
    operation_id="deleteInstance",
    tags=["instances"],
    status_code=202,
    response_model=wire.Operation,
    responses=refuses(InstanceUnknown, InstanceBusy),
)
def delete_instance(instance_id: UUID, call: Member) -> Response:
    """Delete an instance; its flexible IPs stay reserved."""
    return call.run(lambda tx: product.delete(tx, call.principal, instance_id, call.expected_revision), 202)


# --- conversions of zones ----------------------------------------------------------------------------------------


@router.post(
    "/conversions",
    operation_id="planConversion",
    tags=["conversions"],
    status_code=201,
    response_model=wire.ConversionPlan,
    responses=refuses(ZoneUnknown, ConversionStack, ConversionNodes, ConversionExists, Unreachable),
)
def plan_conversion(body: wire.ConversionCreate, call: OperatorCreates, observer: Observing) -> Response:
    """Plan a zone's conversion, every port of it; with `validate_only`, without keeping the plan."""

    def observed() -> Mapping[UUID, Seen]:
        return observer.seen(body.zone, call.read(lambda tx: conversions.to_plan(tx, body.zone)))

    return call.run_after(observed, lambda tx, seen: conversions.plan(tx, call.principal, body, seen), 201)


@router.get("/conversions", operation_id="listConversions", tags=["conversions"])
def list_conversions(call: OperatorReads, paging: PagingDep, zone: ZoneFilter = None) -> Page[wire.Conversion]:
    """List conversions, the newest first."""
    return call.read(lambda tx: conversions.page(tx, paging, zone))


@router.get(
    "/conversions/{conversion_id}",
    operation_id="getConversion",
    tags=["conversions"],
    response_model=wire.Conversion,
    responses=refuses(ConversionUnknown),
)
def get_conversion(conversion_id: UUID, call: OperatorReads) -> Response:
    """Read a conversion."""
    return resource(call.read(lambda tx: conversions.get(tx, conversion_id)))


@router.get(
    "/conversions/{conversion_id}/ports",
    operation_id="listConversionPorts",
    tags=["conversions"],
    responses=refuses(ConversionUnknown),
)
def list_conversion_ports(
    conversion_id: UUID,
    call: OperatorReads,
    paging: PagingDep,
    state: Annotated[PortState | None, Query(description="Only in this state.")] = None,
    wave: Annotated[int | None, Query(ge=1, le=wire.MAX, description="Only of this wave.")] = None,
) -> Page[wire.PortConversion]:
    """List the ports of a conversion."""
    return call.read(lambda tx: conversions.ports(tx, conversion_id, paging, state, wave))


@router.post(
    "/conversions/{conversion_id}:start",
    operation_id="startConversion",
    tags=["conversions"],
    response_model=wire.Conversion,
    responses=refuses(ConversionUnknown, ConversionPhase, PlanStale),
)
def start_conversion(conversion_id: UUID, call: Operator) -> Response:
    """Start a planned conversion, if nothing has changed since; watch it, or its Operation."""
    return call.run(lambda tx: conversions.start(tx, conversion_id, call.expected_revision))


@router.post(
    "/conversions/{conversion_id}:pause",
    operation_id="pauseConversion",
    tags=["conversions"],
    response_model=wire.Conversion,
    responses=refuses(ConversionUnknown, ConversionPhase),
)
def pause_conversion(conversion_id: UUID, body: wire.ConversionPause, call: Operator) -> Response:
    """Give no port its turn any more; those between two modes go on to their end."""
    return call.run(lambda tx: conversions.pause(tx, conversion_id, body.reason, call.expected_revision))


@router.post(
    "/conversions/{conversion_id}:resume",
    operation_id="resumeConversion",
    tags=["conversions"],
    response_model=wire.Conversion,
    responses=refuses(ConversionUnknown, ConversionPhase),
)
def resume_conversion(conversion_id: UUID, body: wire.ConversionResume, call: Operator) -> Response:
    """Go on where it was paused, by a person or by itself."""
    return call.run(lambda tx: conversions.resume(tx, conversion_id, body.through, call.expected_revision))


@router.post(
    "/conversions/{conversion_id}:abort",
    operation_id="abortConversion",
    tags=["conversions"],
    response_model=wire.Conversion,
    responses=refuses(ConversionUnknown, ConversionPhase),
)
def abort_conversion(conversion_id: UUID, call: Operator) -> Response:
    """Bring every port back behind the NAT; a guest that has its address itself keeps it."""
    return call.run(lambda tx: conversions.abort(tx, conversion_id, call.expected_revision))


@router.post(
    "/conversions/{conversion_id}:seal",
    operation_id="sealConversion",
    tags=["conversions"],
    response_model=wire.Conversion,
    responses=refuses(ConversionUnknown, SoakUnfinished),
)
def seal_conversion(conversion_id: UUID, call: Operator) -> Response:
    """Free the 10.x of guests that have had their address for the soak time. There is no way back from it."""
    return call.run(lambda tx: conversions.seal(tx, conversion_id, call.expected_revision))


# --- traces ------------------------------------------------------------------------------------------------------


@router.get(
    "/trace",
    operation_id="traceAddress",
    tags=["traces"],
    response_model=wire.Trace,
    responses=refuses(AddressMalformed, AddressUnknown, AddressAmbiguous, Unreachable),
)
def trace_address(
    call: OperatorReads,  # noqa: ARG001  whose role is all that is asked
    tracer: Tracing,
    address: Annotated[wire.Text, Query(description="An IPv4 or IPv6 address, or an IPv6 prefix.")],
    zone: Annotated[wire.Name | None, Query(description="For a private address that several zones have.")] = None,
) -> wire.Trace:
    """Trace one address through ledger, controller and kernels, in both directions."""
    return trace_wire(tracer.trace(address, zone))


@router.get(
    "/ports/{port_id}/reachability",
    operation_id="getPortReachability",
    tags=["traces"],
    response_model=wire.Reachability,
    responses=refuses(PortUnknown),
)
def get_port_reachability(port_id: UUID, call: Reader, tracer: Tracing) -> wire.Reachability:
    """Whether packets reach each address of a port, as its nodes' kernels are now."""
    return reachability_wire(*tracer.reachability(call.principal, port_id))


# --- operations --------------------------------------------------------------------------------------------------


@router.get("/operations", operation_id="listOperations", tags=["operations"])
def list_operations(
    call: Reader,
    paging: PagingDep,
    resource_: Annotated[
        wire.Text | None, Query(alias="resource", description="Path of the resource that is changed.")
    ] = None,
    state: Annotated[wire.OperationState | None, Query(description="Only in this state.")] = None,
) -> Page[wire.Operation]:
    """List operations, the newest first."""
    return call.read(lambda tx: operations.list_operations(tx, call.principal, paging, resource_, state))


@router.get(
    "/operations/{operation_id}",
    operation_id="getOperation",
    tags=["operations"],
    response_model=wire.Operation,
    responses=refuses(OperationUnknown),
)
async def get_operation(operation_id: wire.Text, call: Reader, wait_s: WaitSeconds = 0) -> Response:
    """Read an operation now, or as soon as it is final."""
    return await when_final(
        lambda: call.read(lambda tx: operations.get_operation(tx, call.principal, operation_id)), wait_s
    )


@router.post(
    "/operations/{operation_id}:cancel",
    operation_id="cancelOperation",
    tags=["operations"],
    response_model=wire.Operation,
    responses=refuses(OperationUnknown, OperationFixed),
)
def cancel_operation(operation_id: wire.Text, call: MemberCreates) -> Response:
    """End it before its point of no return."""
    return call.run(lambda tx: cancelling.cancel(tx, call.principal, operation_id))


@router.post(
    "/operations/{operation_id}:pause",
    operation_id="pauseOperation",
    tags=["operations"],
    response_model=wire.Operation,
    responses=refuses(OperationUnknown, OperationFixed),
)
def pause_operation(operation_id: wire.Text, call: OperatorCreates) -> Response:
    """Begin no more of a drain's moves."""
    return call.run(lambda tx: cancelling.pause(tx, call.principal, operation_id))


@router.post(
    "/operations/{operation_id}:resume",
    operation_id="resumeOperation",
    tags=["operations"],
    response_model=wire.Operation,
    responses=refuses(OperationUnknown, OperationFixed),
)
def resume_operation(operation_id: wire.Text, call: OperatorCreates) -> Response:
    """Go on with a paused drain."""
    return call.run(lambda tx: cancelling.resume(tx, call.principal, operation_id))
