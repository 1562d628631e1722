"""The ledger over HTTP. Handlers translate; rules and queries are elsewhere."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response

from common.web import Call, Page, PagingDep, WaitSeconds, called_by, resource, when_final
from services.ipam import addressing, wire
from services.ipam.errors import FilterMalformed
from services.ipam.service import adopting, attaching, flexible_ips, supply
from services.ipam.service.caller import Caller

router = APIRouter(prefix="/ipam/v1")

ReadCall = Annotated[Call, Depends(called_by("reader", "service"))]
MemberCall = Annotated[Call, Depends(called_by("member", "service"))]
OperatorCall = Annotated[Call, Depends(called_by("operator"))]
SupplyCall = Annotated[Call, Depends(called_by("operator", "service"))]
ServiceCall = Annotated[Call, Depends(called_by("service"))]

ProjectFilter = Annotated[str | None, Query(description="Operators and services: only this project's.")]


def caller_of(call: Call) -> Caller:
    return Caller(call.principal, call.request_id, call.expected_revision)


# --- zones -----------------------------------------------------------------------------------------------------------


@router.get("/zones", tags=["zones"], operation_id="listZones")
def list_zones(call: ReadCall, page: PagingDep) -> Page[wire.Zone]:
    return call.read(lambda tx: supply.zones(tx, page))


@router.get("/zones/{name}", tags=["zones"], operation_id="getZone", response_model=wire.Zone)
def get_zone(call: ReadCall, name: str) -> Response:
    return resource(call.read(lambda tx: supply.zone(tx, name)))


@router.put("/zones/{name}", tags=["zones"], operation_id="putZone", response_model=wire.Zone)
def put_zone(call: SupplyCall, name: wire.Name, body: wire.ZonePut) -> Response:
    return call.run(lambda tx: supply.put_zone(tx, caller_of(call), name, body))


# --- pools and prefixes ----------------------------------------------------------------------------------------------


@router.get("/pools", tags=["pools"], operation_id="listPools")
def list_pools(
    call: ReadCall,
    page: PagingDep,
    zone: str | None = None,
    family: wire.Family | None = None,
    name: str | None = None,
) -> Page[wire.Pool]:
    return call.read(lambda tx: supply.pools(tx, page, zone, family, name))


@router.post("/pools", tags=["pools"], operation_id="createPool", status_code=201, response_model=wire.Pool)
def create_pool(call: OperatorCall, body: wire.PoolCreate) -> Response:
    return call.run(lambda tx: supply.create_pool(tx, body), 201)


@router.get("/pools/{pool_id}", tags=["pools"], operation_id="getPool", response_model=wire.Pool)
def get_pool(call: ReadCall, pool_id: UUID) -> Response:
    return resource(call.read(lambda tx: supply.pool(tx, pool_id)))


@router.patch("/pools/{pool_id}", tags=["pools"], operation_id="updatePool", response_model=wire.Pool)
def update_pool(call: OperatorCall, pool_id: UUID, body: wire.PoolUpdate) -> Response:
    return call.run(lambda tx: supply.update_pool(tx, caller_of(call), pool_id, body))


@router.get("/pools/{pool_id}/prefixes", tags=["pools"], operation_id="listPrefixes")
def list_prefixes(call: ReadCall, page: PagingDep, pool_id: UUID) -> Page[wire.Prefix]:
    return call.read(lambda tx: supply.prefixes(tx, page, pool_id))


@router.post(
    "/pools/{pool_id}/prefixes",
    tags=["pools"],
    operation_id="addPrefix",
    status_code=201,
    response_model=wire.Prefix,
)
def add_prefix(call: OperatorCall, pool_id: UUID, body: wire.PrefixCreate) -> Response:
    return call.run(lambda tx: supply.add_prefix(tx, caller_of(call), pool_id, body), 201)


@router.delete(
    "/pools/{pool_id}/prefixes/{prefix_id}",
    tags=["pools"],
    operation_id="deletePrefix",
    response_model=wire.Prefix,
)
def delete_prefix(call: OperatorCall, pool_id: UUID, prefix_id: UUID) -> Response:
    return call.run(lambda tx: supply.delete_prefix(tx, caller_of(call), pool_id, prefix_id))


# --- quotas ----------------------------------------------------------------------------------------------------------


@router.get("/quotas", tags=["quotas"], operation_id="listQuotas")
def list_quotas(call: ReadCall, page: PagingDep, project: ProjectFilter = None) -> Page[wire.Quota]:
    return call.read(lambda tx: supply.quotas(tx, caller_of(call), page, project))


@router.put("/quotas/{project}/{family}", tags=["quotas"], operation_id="putQuota", response_model=wire.Quota)
def put_quota(call: OperatorCall, project: str, family: wire.Family, body: wire.QuotaPut) -> Response:
    return call.run(lambda tx: supply.put_quota(tx, caller_of(call), project, family, body))


# --- flexible IPs ----------------------------------------------------------------------------------------------------


@router.post(
    "/flexible-ips",
    tags=["flexible-ips"],
    operation_id="reserveFlexibleIp",
    status_code=201,
    response_model=wire.FlexibleIP,
)
def reserve_flexible_ip(call: MemberCall, body: wire.FlexibleIPReserve) -> Response:
    return call.run(lambda tx: flexible_ips.reserve(tx, caller_of(call), body), 201)


@router.get("/flexible-ips", tags=["flexible-ips"], operation_id="listFlexibleIps")
def list_flexible_ips(
    call: ReadCall,
    page: PagingDep,
    project: ProjectFilter = None,
    zone: str | None = None,
    family: wire.Family | None = None,
    pool: str | None = None,
    state: wire.FlexibleIPState | None = None,
    name: str | None = None,
    address: str | None = None,
    target: Annotated[str | None, Query(description="`KIND/ID`: attached to it, leaving it or waiting for it.")] = None,
    label: Annotated[str | None, Query(description="`KEY=VALUE`.")] = None,
    ids: Annotated[str | None, Query(description="Up to 100 ids, separated by commas.")] = None,
) -> Page[wire.FlexibleIP]:
    shown = wire.FlexibleIPFilter(
        project=caller_of(call).filtered(project),
        zone=zone,
        family=family,
        pool=pool,
        state=state,
        name=name,
        address=_address(address),
        target=_target_filter(target),
        label=_label(label),
        ids=_ids(ids),
    )
    return call.read(lambda tx: flexible_ips.flexible_ips(tx, page, shown))


@router.get(
    "/flexible-ips/{flexible_ip_id}",
    tags=["flexible-ips"],
    operation_id="getFlexibleIp",
    response_model=wire.FlexibleIP,
)
def get_flexible_ip(call: ReadCall, flexible_ip_id: UUID) -> Response:
    return resource(call.read(lambda tx: flexible_ips.flexible_ip(tx, caller_of(call), flexible_ip_id)))


@router.patch(
    "/flexible-ips/{flexible_ip_id}",
    tags=["flexible-ips"],
    operation_id="updateFlexibleIp",
    response_model=wire.FlexibleIP,
)
def update_flexible_ip(call: MemberCall, flexible_ip_id: UUID, body: wire.FlexibleIPUpdate) -> Response:
    return call.run(lambda tx: flexible_ips.update(tx, caller_of(call), flexible_ip_id, body))


@router.delete(
    "/flexible-ips/{flexible_ip_id}",
    tags=["flexible-ips"],
    operation_id="releaseFlexibleIp",
    response_model=wire.FlexibleIP,
)
def release_flexible_ip(call: MemberCall, flexible_ip_id: UUID) -> Response:
    return call.run(lambda tx: flexible_ips.release(tx, caller_of(call), flexible_ip_id))


@router.post(
    "/flexible-ips/{flexible_ip_id}:restore",
    tags=["flexible-ips"],
    operation_id="restoreFlexibleIp",
    response_model=wire.FlexibleIP,
)
def restore_flexible_ip(call: MemberCall, flexible_ip_id: UUID) -> Response:
    return call.run(lambda tx: flexible_ips.restore(tx, caller_of(call), flexible_ip_id))


@router.post(
    "/flexible-ips/{flexible_ip_id}:attach",
    tags=["flexible-ips"],
    operation_id="attachFlexibleIp",
    status_code=202,
    response_model=wire.Operation,
)
def attach_flexible_ip(call: MemberCall, flexible_ip_id: UUID, body: wire.Attach) -> Response:
    return call.run(lambda tx: attaching.attach(tx, caller_of(call), flexible_ip_id, body), 202)


@router.post(
    "/flexible-ips/{flexible_ip_id}:detach",
    tags=["flexible-ips"],
    operation_id="detachFlexibleIp",
    status_code=202,
    response_model=wire.Operation,
)
def detach_flexible_ip(call: MemberCall, flexible_ip_id: UUID, body: wire.Detach) -> Response:
    return call.run(lambda tx: attaching.detach(tx, caller_of(call), flexible_ip_id, body), 202)


@router.post(
    "/flexible-ips/{flexible_ip_id}:move",
    tags=["flexible-ips"],
    operation_id="moveFlexibleIp",
    status_code=202,
    response_model=wire.Operation,
)
def move_flexible_ip(call: MemberCall, flexible_ip_id: UUID, body: wire.Move) -> Response:
    return call.run(lambda tx: attaching.move(tx, caller_of(call), flexible_ip_id, body), 202)


@router.post("/flexible-ips:adopt", tags=["flexible-ips"], operation_id="adoptFlexibleIps", response_model=wire.Adopted)
def adopt_flexible_ips(call: ServiceCall, body: wire.Adopt) -> Response:
    return call.run(lambda tx: adopting.adopt(tx, caller_of(call), body))


@router.get("/flexible-ips/{flexible_ip_id}/audit", tags=["flexible-ips"], operation_id="listFlexibleIpAudit")
def list_flexible_ip_audit(call: ReadCall, page: PagingDep, flexible_ip_id: UUID) -> Page[wire.AuditRecord]:
    return call.read(lambda tx: flexible_ips.audit(tx, caller_of(call), page, flexible_ip_id))


@router.get("/holdings", tags=["holdings"], operation_id="listHoldings")
def list_holdings(
    call: ReadCall,
    page: PagingDep,
    project: ProjectFilter = None,
    address: Annotated[str | None, Query(description="An address, or a prefix that overlaps what was held.")] = None,
    at: Annotated[datetime | None, Query(description="Only who held it at this moment; with a time zone.")] = None,
) -> Page[wire.Holding]:
    if at is not None and at.tzinfo is None:
        raise FilterMalformed("`at` has no time zone; write 2026-01-31T12:00:00Z")
    return call.read(lambda tx: flexible_ips.holdings(tx, caller_of(call), page, project, address, at))


def _address(text: str | None) -> str | None:
    if text is None:
        return None
    family = addressing.family_of(text)
    return addressing.parse_address(text, family)


def _label(text: str | None) -> dict[str, str]:
    if text is None:
        return {}
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise FilterMalformed(f"label is {text!r}; write KEY=VALUE")
    return {key: value}


def _ids(text: str | None) -> list[UUID] | None:
    if text is None:
        return None
    parts = text.split(",")
    if len(parts) > 100:
        raise FilterMalformed(f"ids names {len(parts)} ids; at most 100")
    return [_uuid(part, "ids") for part in parts]


def _target_filter(text: str | None) -> tuple[str, UUID] | None:
    if text is None:
        return None
    kind, _, target_id = text.partition("/")
    return kind, _uuid(target_id, "target")


def _uuid(text: str, name: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as error:
        raise FilterMalformed(f"{name}: {text!r} is not an id") from error


# --- targets ---------------------------------------------------------------------------------------------------------


@router.get("/targets", tags=["targets"], operation_id="listTargets")
def list_targets(
    call: ReadCall, page: PagingDep, kind: str | None = None, project: ProjectFilter = None
) -> Page[wire.Target]:
    return call.read(lambda tx: attaching.targets(tx, caller_of(call), page, kind, project))


@router.get("/targets/{kind}/{target_id}", tags=["targets"], operation_id="getTarget", response_model=wire.Target)
def get_target(call: ReadCall, kind: str, target_id: UUID) -> Response:
    return resource(call.read(lambda tx: attaching.target(tx, caller_of(call), kind, target_id)))


@router.put("/targets/{kind}/{target_id}", tags=["targets"], operation_id="putTarget", response_model=wire.Target)
def put_target(call: ServiceCall, kind: wire.Name, target_id: UUID, body: wire.TargetPut) -> Response:
    return call.run(lambda tx: attaching.put_target(tx, caller_of(call), kind, target_id, body))


@router.delete("/targets/{kind}/{target_id}", tags=["targets"], operation_id="deleteTarget", response_model=wire.Target)
def delete_target(call: ServiceCall, kind: str, target_id: UUID) -> Response:
    return call.run(lambda tx: attaching.delete_target(tx, caller_of(call), kind, target_id))


@router.get("/address-sets:lagging", tags=["address-sets"], operation_id="listLaggingTargets")
def list_lagging_targets(call: ServiceCall, page: PagingDep, kind: str | None = None) -> Page[wire.LaggingTarget]:
    return call.read(lambda tx: attaching.lagging(tx, page, kind))


@router.get(
    "/address-sets/{kind}/{target_id}",
    tags=["address-sets"],
    operation_id="getAddressSet",
    response_model=wire.AddressSet,
)
def get_address_set(call: ReadCall, kind: str, target_id: UUID) -> Response:
    return resource(call.read(lambda tx: attaching.address_set(tx, caller_of(call), kind, target_id)))


@router.put(
    "/address-sets/{kind}/{target_id}/realized",
    tags=["address-sets"],
    operation_id="reportRealized",
    response_model=wire.AddressSet,
)
def report_realized(call: ServiceCall, kind: str, target_id: UUID, body: wire.Realized) -> Response:
    return call.run(lambda tx: attaching.report_realized(tx, caller_of(call), kind, target_id, body))


# --- operations ------------------------------------------------------------------------------------------------------


@router.get("/operations", tags=["operations"], operation_id="listOperations")
def list_operations(
    call: ReadCall,
    page: PagingDep,
    project: ProjectFilter = None,
    resource: Annotated[str | None, Query(description="Path of the resource that is changed.")] = None,
    state: wire.OperationState | None = None,
) -> Page[wire.Operation]:
    return call.read(lambda tx: attaching.operations(tx, caller_of(call), page, project, resource, state))


@router.get(
    "/operations/{operation_id}", tags=["operations"], operation_id="getOperation", response_model=wire.Operation
)
async def get_operation(call: ReadCall, operation_id: str, wait_s: WaitSeconds = 0) -> Response:
    """The operation now, or as soon as it is final."""
    return await when_final(
        lambda: call.read(lambda tx: attaching.operation(tx, caller_of(call), operation_id)), wait_s
    )
