"""Instances, and what their owners and operators do with them."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from common.http import Unreachable
from common.web import Page, PagingDep, refuses, resource
from services.placement import ledger, wire
from services.placement.api.calls import (
    PLACING,
    Ledger,
    Member,
    MemberCreates,
    NameFilter,
    Operator,
    Reader,
    ZoneFilter,
)
from services.placement.errors import (
    AddressUnusable,
    ConversionMode,
    ConversionStack,
    FlavorUnknown,
    HypervisorChosen,
    InstanceBusy,
    InstanceNameReserved,
    InstanceNameTaken,
    InstanceState,
    InstanceUnknown,
    ModeUnsupported,
    NodeLocalDisk,
    SameHypervisor,
    ZoneUnknown,
)
from services.placement.products import instance as product

router = APIRouter()


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
