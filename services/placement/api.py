"""HTTP of the controller: handlers translate, call, translate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response

from common.web import Call, Page, PagingDep, WaitSeconds, called_by, resource, when_final
from services.ipam.client import IpamClient
from services.placement import ledger, wire
from services.placement.conversion.observer import Observer
from services.placement.conversion.phases import PortState
from services.placement.conversion.prechecks import Seen
from services.placement.products import instance as product
from services.placement.service import cancelling, conversions, flavors, nodes, operations, zones

Name = Annotated[str, Query(max_length=63)]
Reader = Annotated[Call, Depends(called_by("reader"))]
Member = Annotated[Call, Depends(called_by("member"))]
Operator = Annotated[Call, Depends(called_by("operator"))]

router = APIRouter(prefix="/placement/v1")


def _ledger(request: Request) -> IpamClient:
    client: IpamClient = request.app.state.ledger
    return client


def _observer(request: Request) -> Observer:
    observer: Observer = request.app.state.observer
    return observer


Ledger = Annotated[IpamClient, Depends(_ledger)]
Observing = Annotated[Observer, Depends(_observer)]

# --- zones -------------------------------------------------------------------------------------------------------


@router.put("/zones/{name}", operation_id="putZone", tags=["zones"], response_model=wire.Zone)
def put_zone(name: str, body: wire.ZonePut, call: Operator, ipam: Ledger) -> Response:
    """Register a zone, here and in the ledger."""
    answer = call.run(lambda tx: zones.put_zone(tx, name, body, call.expected_revision))
    if not call.validate_only:
        ledger.put_zone(ipam, call.read(lambda tx: zones.get_zone(tx, name)))
    return answer


@router.get("/zones", operation_id="listZones", tags=["zones"])
def list_zones(call: Reader, paging: PagingDep) -> Page[wire.Zone]:
    return call.read(lambda tx: zones.list_zones(tx, paging))


@router.get("/zones/{name}", operation_id="getZone", tags=["zones"], response_model=wire.Zone)
def get_zone(name: str, call: Reader) -> Response:
    return resource(call.read(lambda tx: zones.get_zone(tx, name)))


# --- nodes -------------------------------------------------------------------------------------------------------


@router.put("/nodes/{node_id}", operation_id="putNode", tags=["nodes"], response_model=wire.Node)
def put_node(node_id: UUID, body: wire.NodePut, call: Operator) -> Response:
    """Register a node, or change what may change."""
    return call.run(lambda tx: nodes.put_node(tx, node_id, body, call.expected_revision))


@router.get("/nodes", operation_id="listNodes", tags=["nodes"])
def list_nodes(
    call: Operator,
    paging: PagingDep,
    zone: Name | None = None,
    role: wire.NodeRole | None = None,
    name: Name | None = None,
) -> Page[wire.Node]:
    return call.read(lambda tx: nodes.list_nodes(tx, paging, zone, role, name))


@router.get("/nodes/{node_id}", operation_id="getNode", tags=["nodes"], response_model=wire.Node)
def get_node(node_id: UUID, call: Operator) -> Response:
    return resource(call.read(lambda tx: nodes.get_node(tx, node_id)))


@router.patch("/nodes/{node_id}", operation_id="updateNode", tags=["nodes"], response_model=wire.Node)
def update_node(node_id: UUID, body: wire.NodeUpdate, call: Operator) -> Response:
    """Enable or disable scheduling on a node; what runs there stays."""
    return call.run(lambda tx: nodes.update_node(tx, node_id, body, call.expected_revision))


@router.get("/nodes/{node_id}/allocations", operation_id="listAllocations", tags=["nodes"])
def list_allocations(node_id: UUID, call: Operator, paging: PagingDep) -> Page[wire.Allocation]:
    return call.read(lambda tx: nodes.list_allocations(tx, node_id, paging))


@router.post(
    "/nodes/{node_id}:fence",
    operation_id="fenceNode",
    tags=["nodes"],
    status_code=202,
    response_model=wire.Operation,
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
)
def drain_node(node_id: UUID, body: wire.NodeDrain, call: Operator) -> Response:
    """Move every running instance of a node elsewhere, a few at a time; it takes no more."""
    return call.run(lambda tx: nodes.drain(tx, call.principal, node_id, body, call.expected_revision), 202)


@router.post("/nodes/{node_id}:undrain", operation_id="undrainNode", tags=["nodes"], response_model=wire.Node)
def undrain_node(node_id: UUID, call: Operator) -> Response:
    """Let a node take instances again; a drain that goes on ends here."""
    return call.run(lambda tx: nodes.undrain(tx, node_id, call.expected_revision))


# --- flavours ----------------------------------------------------------------------------------------------------


@router.post("/flavors", operation_id="createFlavor", tags=["flavors"], status_code=201, response_model=wire.Flavor)
def create_flavor(body: wire.FlavorCreate, call: Operator) -> Response:
    return call.run(lambda tx: flavors.create_flavor(tx, body), 201)


@router.get("/flavors", operation_id="listFlavors", tags=["flavors"])
def list_flavors(call: Reader, paging: PagingDep) -> Page[wire.Flavor]:
    return call.read(lambda tx: flavors.list_flavors(tx, paging))


@router.get("/flavors/{name}", operation_id="getFlavor", tags=["flavors"], response_model=wire.Flavor)
def get_flavor(name: str, call: Reader) -> Response:
    return resource(call.read(lambda tx: flavors.get_flavor(tx, name)))


@router.delete("/flavors/{name}", operation_id="deleteFlavor", tags=["flavors"], response_model=wire.Flavor)
def delete_flavor(name: str, call: Operator) -> Response:
    """Delete a flavour that no instance has; answers what it was."""
    return call.run(lambda tx: flavors.delete_flavor(tx, name, call.expected_revision))


# --- instances ---------------------------------------------------------------------------------------------------


@router.post(
    "/instances", operation_id="createInstance", tags=["instances"], status_code=202, response_model=wire.Operation
)
def create_instance(body: wire.InstanceCreate, call: Member, ipam: Ledger) -> Response:

    def usable_in_mode() -> str:
        mode = call.read(lambda tx: product.zone_and_mode(tx, body))
        ledger.check_addresses(ipam, call.principal.project, body.zone, mode, body.addresses, body.allocate)
        return mode

    return call.run_after(usable_in_mode, lambda tx, mode: product.create(tx, call.principal, body, mode), 202)


@router.get("/instances", operation_id="listInstances", tags=["instances"])
def list_instances(
    call: Reader,
    paging: PagingDep,
    zone: Name | None = None,
    name: Name | None = None,
    hypervisor: Name | None = None,
) -> Page[wire.Instance]:
    return call.read(lambda tx: product.page(tx, call.principal, paging, zone, name, hypervisor))


@router.get("/instances/{instance_id}", operation_id="getInstance", tags=["instances"], response_model=wire.Instance)
def get_instance(instance_id: UUID, call: Reader) -> Response:
    return resource(call.read(lambda tx: product.get(tx, call.principal, instance_id)))


@router.post(
    "/instances/{instance_id}:start",
    operation_id="startInstance",
    tags=["instances"],
    status_code=202,
    response_model=wire.Operation,
)
def start_instance(instance_id: UUID, body: wire.InstanceStart, call: Member) -> Response:
    """Start an archived instance, possibly elsewhere; its addresses come along."""
    return call.run(lambda tx: product.start(tx, call.principal, instance_id, body, call.expected_revision), 202)


@router.post(
    "/instances/{instance_id}:stop",
    operation_id="stopInstance",
    tags=["instances"],
    status_code=202,
    response_model=wire.Operation,
)
def stop_instance(instance_id: UUID, call: Member) -> Response:
    """Archive an instance: compute is freed, addresses stay attached."""
    return call.run(lambda tx: product.stop(tx, call.principal, instance_id, call.expected_revision), 202)


@router.post(
    "/instances/{instance_id}:restart",
    operation_id="restartInstance",
    tags=["instances"],
    status_code=202,
    response_model=wire.Operation,
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
)
def move_instance(instance_id: UUID, body: wire.InstanceMove, call: Operator) -> Response:
    """Move a running instance to another hypervisor, its addresses kept."""
    return call.run(lambda tx: product.move(tx, call.principal, instance_id, body, call.expected_revision), 202)


@router.post(
    "/instances/{instance_id}:convert",
    operation_id="convertInstance",
    tags=["instances"],
    status_code=202,
    response_model=wire.Operation,
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
)
def plan_conversion(body: wire.ConversionCreate, call: Operator, observer: Observing) -> Response:
    """Plan a zone's conversion, every port of it; with `validate_only`, without keeping the plan."""

    def observed() -> Mapping[UUID, Seen]:
        return observer.seen(body.zone, call.read(lambda tx: conversions.to_plan(tx, body.zone)))

    return call.run_after(observed, lambda tx, seen: conversions.plan(tx, call.principal, body, seen), 201)


@router.get("/conversions", operation_id="listConversions", tags=["conversions"])
def list_conversions(call: Operator, paging: PagingDep, zone: Name | None = None) -> Page[wire.Conversion]:
    """Newest first."""
    return call.read(lambda tx: conversions.page(tx, paging, zone))


@router.get(
    "/conversions/{conversion_id}", operation_id="getConversion", tags=["conversions"], response_model=wire.Conversion
)
def get_conversion(conversion_id: UUID, call: Operator) -> Response:
    return resource(call.read(lambda tx: conversions.get(tx, conversion_id)))


@router.get("/conversions/{conversion_id}/ports", operation_id="listConversionPorts", tags=["conversions"])
def list_conversion_ports(
    conversion_id: UUID,
    call: Operator,
    paging: PagingDep,
    state: PortState | None = None,
    wave: Annotated[int | None, Query(ge=1)] = None,
) -> Page[wire.PortConversion]:
    return call.read(lambda tx: conversions.ports(tx, conversion_id, paging, state, wave))


@router.post(
    "/conversions/{conversion_id}:start",
    operation_id="startConversion",
    tags=["conversions"],
    response_model=wire.Conversion,
)
def start_conversion(conversion_id: UUID, call: Operator) -> Response:
    """Start a planned conversion, if nothing has changed since; watch it, or its Operation."""
    return call.run(lambda tx: conversions.start(tx, conversion_id, call.expected_revision))


@router.post(
    "/conversions/{conversion_id}:pause",
    operation_id="pauseConversion",
    tags=["conversions"],
    response_model=wire.Conversion,
)
def pause_conversion(conversion_id: UUID, body: wire.ConversionPause, call: Operator) -> Response:
    """Give no port its turn any more; those between two modes go on to their end."""
    return call.run(lambda tx: conversions.pause(tx, conversion_id, body.reason, call.expected_revision))


@router.post(
    "/conversions/{conversion_id}:resume",
    operation_id="resumeConversion",
    tags=["conversions"],
    response_model=wire.Conversion,
)
def resume_conversion(conversion_id: UUID, body: wire.ConversionResume, call: Operator) -> Response:
    """Go on where it was paused, by a person or by itself."""
    return call.run(lambda tx: conversions.resume(tx, conversion_id, body.through, call.expected_revision))


@router.post(
    "/conversions/{conversion_id}:abort",
    operation_id="abortConversion",
    tags=["conversions"],
    response_model=wire.Conversion,
)
def abort_conversion(conversion_id: UUID, call: Operator) -> Response:
    """Bring every port back behind the NAT; a guest that has its address itself keeps it."""
    return call.run(lambda tx: conversions.abort(tx, conversion_id, call.expected_revision))


@router.post(
    "/conversions/{conversion_id}:seal",
    operation_id="sealConversion",
    tags=["conversions"],
    response_model=wire.Conversion,
)
def seal_conversion(conversion_id: UUID, call: Operator) -> Response:
    """Free the 10.x of guests that have had their address for the soak time. There is no way back from it."""
    return call.run(lambda tx: conversions.seal(tx, conversion_id, call.expected_revision))


# --- operations --------------------------------------------------------------------------------------------------


@router.get("/operations", operation_id="listOperations", tags=["operations"])
def list_operations(
    call: Reader,
    paging: PagingDep,
    resource_: Annotated[str | None, Query(alias="resource", max_length=255)] = None,
    state: wire.OperationState | None = None,
) -> Page[wire.Operation]:
    """Newest first."""
    return call.read(lambda tx: operations.list_operations(tx, call.principal, paging, resource_, state))


@router.get(
    "/operations/{operation_id}", operation_id="getOperation", tags=["operations"], response_model=wire.Operation
)
async def get_operation(operation_id: str, call: Reader, wait_s: WaitSeconds = 0) -> Response:
    """The operation now, or as soon as it is final."""
    return await when_final(
        lambda: call.read(lambda tx: operations.get_operation(tx, call.principal, operation_id)), wait_s
    )


@router.post(
    "/operations/{operation_id}:cancel",
    operation_id="cancelOperation",
    tags=["operations"],
    response_model=wire.Operation,
)
def cancel_operation(operation_id: str, call: Member) -> Response:
    """End it before its point of no return."""
    return call.run(lambda tx: cancelling.cancel(tx, call.principal, operation_id))


@router.post(
    "/operations/{operation_id}:pause",
    operation_id="pauseOperation",
    tags=["operations"],
    response_model=wire.Operation,
)
def pause_operation(operation_id: str, call: Operator) -> Response:
    """Begin no more of a drain's moves."""
    return call.run(lambda tx: cancelling.pause(tx, call.principal, operation_id))


@router.post(
    "/operations/{operation_id}:resume",
    operation_id="resumeOperation",
    tags=["operations"],
    response_model=wire.Operation,
)
def resume_operation(operation_id: str, call: Operator) -> Response:
    """Go on with a paused drain."""
    return call.run(lambda tx: cancelling.resume(tx, call.principal, operation_id))
