"""What addresses are attached to, and their address sets."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter, Response

from common.web import Page, PagingDep, refuses, resource
from services.ipam import wire
from services.ipam.api.calls import KindFilter, ProjectFilter, ReadCall, ServiceCall, ServiceReadCall, caller_of
from services.ipam.errors import (
    ProjectNotYours,
    RevisionUnknown,
    TargetImmutable,
    TargetKindNotYours,
    TargetUnknown,
    ZoneUnknown,
)
from services.ipam.service import attaching

router = APIRouter()


@router.get(
    "/targets",
    tags=["targets"],
    operation_id="listTargets",
    responses=refuses(ProjectNotYours),
)
def list_targets(
    call: ReadCall, page: PagingDep, kind: KindFilter = None, project: ProjectFilter = None
) -> Page[wire.Target]:
    """List targets."""
    return call.read(lambda tx: attaching.targets(tx, caller_of(call), page, kind, project))


@router.get(
    "/targets/{kind}/{target_id}",
    tags=["targets"],
    operation_id="getTarget",
    response_model=wire.Target,
    responses=refuses(TargetUnknown),
)
def get_target(call: ReadCall, kind: wire.Name, target_id: UUID) -> Response:
    """Read a target."""
    return resource(call.read(lambda tx: attaching.target(tx, caller_of(call), kind, target_id)))


@router.put(
    "/targets/{kind}/{target_id}",
    tags=["targets"],
    operation_id="putTarget",
    response_model=wire.Target,
    responses=refuses(TargetKindNotYours, ZoneUnknown, TargetImmutable),
)
def put_target(call: ServiceCall, kind: wire.Name, target_id: UUID, body: wire.TargetPut) -> Response:
    """Register a target, or change its name and limits."""
    return call.run(lambda tx: attaching.put_target(tx, caller_of(call), kind, target_id, body))


@router.delete(
    "/targets/{kind}/{target_id}",
    tags=["targets"],
    operation_id="deleteTarget",
    response_model=wire.Target,
    responses=refuses(TargetKindNotYours, TargetUnknown),
)
def delete_target(call: ServiceCall, kind: wire.Name, target_id: UUID) -> Response:
    """Forget a target whose nodes hold nothing of it any more: all its addresses are off it at once."""
    return call.run(lambda tx: attaching.delete_target(tx, caller_of(call), kind, target_id))


@router.get("/address-sets:lagging", tags=["address-sets"], operation_id="listLaggingTargets")
def list_lagging_targets(call: ServiceReadCall, page: PagingDep, kind: KindFilter = None) -> Page[wire.LaggingTarget]:
    """List the targets whose nodes have not yet realised their address set."""
    return call.read(lambda tx: attaching.lagging(tx, page, kind))


@router.get(
    "/address-sets/{kind}/{target_id}",
    tags=["address-sets"],
    operation_id="getAddressSet",
    response_model=wire.AddressSet,
    responses=refuses(TargetUnknown),
)
def get_address_set(call: ReadCall, kind: wire.Name, target_id: UUID) -> Response:
    """Read all addresses of a target."""
    return resource(call.read(lambda tx: attaching.address_set(tx, caller_of(call), kind, target_id)))


@router.put(
    "/address-sets/{kind}/{target_id}/realized",
    tags=["address-sets"],
    operation_id="reportRealized",
    response_model=wire.AddressSet,
    responses=refuses(TargetKindNotYours, TargetUnknown, RevisionUnknown),
)
def report_realized(call: ServiceCall, kind: wire.Name, target_id: UUID, body: wire.Realized) -> Response:
    """Report what the nodes of a target have read back from their kernels. An older report changes nothing."""
    return call.run(lambda tx: attaching.report_realized(tx, caller_of(call), kind, target_id, body))
