"""The ledger over HTTP. Handlers translate; rules and queries are elsewhere."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from common.web import (
    Call,
    Page,
    PagingDep,
    WaitSeconds,
    changing,
    creating,
    reading,
    refuses,
    resource,
    when_final,
)
from services.ipam import addressing, wire
from services.ipam.errors import (
    ActiveCandidate,
    AddressMalformed,
    AddressOutsidePool,
    AddressQuarantined,
    AddressTaken,
    AlreadyAttached,
    Attached,
    CandidatesFull,
    CandidateTwice,
    FilterMalformed,
    FlexibleIPUnknown,
    Frozen,
    HeldDown,
    InTransition,
    NoCandidate,
    NotAttached,
    NotAttachedThere,
    NotCandidate,
    NotFailover,
    NotReleased,
    OperationUnknown,
    PoolExhausted,
    PoolExists,
    PoolLength,
    PoolUnknown,
    PrefixFamily,
    PrefixInUse,
    PrefixLength,
    PrefixMalformed,
    PrefixOverlap,
    PrefixUnknown,
    ProjectNotYours,
    Protected,
    Quarantined,
    QuotaExceeded,
    RevisionUnknown,
    SwapSame,
    TargetImmutable,
    TargetKindNotYours,
    TargetLimit,
    TargetUnknown,
    ZoneMismatch,
    ZoneUnknown,
)
from services.ipam.service import adopting, attaching, failover, flexible_ips, supply
from services.ipam.service.caller import Caller

router = APIRouter(prefix="/ipam/v1")

TAGS = {
    "zones": "Availability zones, to the ledger names in a region.",
    "pools": "Supplies of addresses of one family, and the prefixes in them.",
    "quotas": "How many addresses a project may hold.",
    "flexible-ips": "Addresses that belong to projects and stay while what they are attached to comes, goes and moves.",
    "holdings": "Who held which address, at any time.",
    "targets": "What addresses can be attached to, registered by the services that own the products.",
    "address-sets": "All addresses of one target, as its nodes must realise them.",
    "status": "The service itself, for whoever looks after it.",
    "operations": "Changes that take a while: list them, watch them.",
}

ReadCall = Annotated[Call, Depends(reading("reader", "service"))]
MemberCall = Annotated[Call, Depends(changing("member", "service"))]
ReserveCall = Annotated[Call, Depends(creating("member", "service"))]
OperatorCall = Annotated[Call, Depends(changing("operator"))]
OperatorReadCall = Annotated[Call, Depends(reading("operator"))]
OperatorCreateCall = Annotated[Call, Depends(creating("operator"))]
SupplyCall = Annotated[Call, Depends(changing("operator", "service"))]
ServiceReadCall = Annotated[Call, Depends(reading("service"))]
ServiceCreateCall = Annotated[Call, Depends(creating("service"))]
ServiceCall = Annotated[Call, Depends(changing("service"))]

Project = Annotated[wire.Project, Path(description="The id of a project.")]
ProjectFilter = Annotated[wire.Project | None, Query(description="Operators and services: only this project's.")]
ZoneFilter = Annotated[wire.Name | None, Query(description="Only this zone's.")]
FamilyFilter = Annotated[wire.Family | None, Query(description="Only this family's.")]
NameFilter = Annotated[wire.Text | None, Query(description="Only what bears this name.")]
KindFilter = Annotated[wire.Name | None, Query(description="Only targets of this kind.")]


UUID_PATTERN = "[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
TARGET_FILTER = {"pattern": f"^[a-z0-9][a-z0-9-]*/{UUID_PATTERN}$"}
LABEL_FILTER = {"pattern": "^[^=\\x00]+=[^\\x00]*$"}
IDS_FILTER = {"pattern": f"^{UUID_PATTERN}(,{UUID_PATTERN}){{0,99}}$"}


def caller_of(call: Call) -> Caller:
    return Caller(call.principal, call.request_id, call.expected_revision)


# --- the service itself ----------------------------------------------------------------------------------------------


@router.get("/status", tags=["status"], operation_id="getLedgerStatus")
def get_status(call: OperatorReadCall, request: Request) -> wire.LedgerStatus:
    """Tell versions, clock, broker, the oldest undone Operations, and what pools have left."""
    broker = bool(request.app.state.waiting())
    return call.read(lambda tx: supply.status(tx, broker=broker))


# --- zones -----------------------------------------------------------------------------------------------------------


@router.get("/zones", tags=["zones"], operation_id="listZones")
def list_zones(call: ReadCall, page: PagingDep) -> Page[wire.Zone]:
    """List the zones."""
    return call.read(lambda tx: supply.zones(tx, page))


@router.get(
    "/zones/{name}",
    tags=["zones"],
    operation_id="getZone",
    response_model=wire.Zone,
    responses=refuses(ZoneUnknown),
)
def get_zone(call: ReadCall, name: wire.Name) -> Response:
    """Read a zone."""
    return resource(call.read(lambda tx: supply.zone(tx, name)))


@router.put("/zones/{name}", tags=["zones"], operation_id="putZone", response_model=wire.Zone)
def put_zone(call: SupplyCall, name: wire.Name, body: wire.ZonePut) -> Response:
    """Register a zone, or change it."""
    return call.run(lambda tx: supply.put_zone(tx, caller_of(call), name, body))


# --- pools and prefixes ----------------------------------------------------------------------------------------------


@router.get("/pools", tags=["pools"], operation_id="listPools")
def list_pools(
    call: ReadCall,
    page: PagingDep,
    zone: ZoneFilter = None,
    family: FamilyFilter = None,
    name: NameFilter = None,
) -> Page[wire.Pool]:
    """List pools with their prefixes."""
    return call.read(lambda tx: supply.pools(tx, page, zone, family, name))


@router.post(
    "/pools",
    tags=["pools"],
    operation_id="createPool",
    status_code=201,
    response_model=wire.Pool,
    responses=refuses(ZoneUnknown, PoolExists, PoolLength),
)
def create_pool(call: OperatorCreateCall, body: wire.PoolCreate) -> Response:
    """Make a pool, without prefixes yet."""
    return call.run(lambda tx: supply.create_pool(tx, body), 201)


@router.get(
    "/pools/{pool_id}",
    tags=["pools"],
    operation_id="getPool",
    response_model=wire.Pool,
    responses=refuses(PoolUnknown),
)
def get_pool(call: ReadCall, pool_id: UUID) -> Response:
    """Read a pool with its prefixes."""
    return resource(call.read(lambda tx: supply.pool(tx, pool_id)))


@router.patch(
    "/pools/{pool_id}",
    tags=["pools"],
    operation_id="updatePool",
    response_model=wire.Pool,
    responses=refuses(PoolUnknown),
)
def update_pool(call: OperatorCall, pool_id: UUID, body: wire.PoolUpdate) -> Response:
    """Change how long a pool's released addresses rest."""
    return call.run(lambda tx: supply.update_pool(tx, caller_of(call), pool_id, body))


@router.get(
    "/pools/{pool_id}/prefixes",
    tags=["pools"],
    operation_id="listPrefixes",
    responses=refuses(PoolUnknown),
)
def list_prefixes(call: ReadCall, page: PagingDep, pool_id: UUID) -> Page[wire.Prefix]:
    """List the prefixes of a pool."""
    return call.read(lambda tx: supply.prefixes(tx, page, pool_id))


@router.post(
    "/pools/{pool_id}/prefixes",
    tags=["pools"],
    operation_id="addPrefix",
    status_code=201,
    response_model=wire.Prefix,
    responses=refuses(PoolUnknown, PrefixOverlap, PrefixMalformed, PrefixFamily, PrefixLength),
)
def add_prefix(call: OperatorCall, pool_id: UUID, body: wire.PrefixCreate) -> Response:
    """Add a prefix to a pool."""
    return call.run(lambda tx: supply.add_prefix(tx, caller_of(call), pool_id, body), 201)


@router.delete(
    "/pools/{pool_id}/prefixes/{prefix_id}",
    tags=["pools"],
    operation_id="deletePrefix",
    response_model=wire.Prefix,
    responses=refuses(PoolUnknown, PrefixUnknown, PrefixInUse),
)
def delete_prefix(call: OperatorCall, pool_id: UUID, prefix_id: UUID) -> Response:
    """Take a prefix off a pool; answers what it was."""
    return call.run(lambda tx: supply.delete_prefix(tx, caller_of(call), pool_id, prefix_id))


# --- quotas ----------------------------------------------------------------------------------------------------------


@router.get(
    "/quotas",
    tags=["quotas"],
    operation_id="listQuotas",
    responses=refuses(ProjectNotYours),
)
def list_quotas(call: ReadCall, page: PagingDep, project: ProjectFilter = None) -> Page[wire.Quota]:
    """List quotas and what is held of them."""
    return call.read(lambda tx: supply.quotas(tx, caller_of(call), page, project))


@router.put("/quotas/{project}/{family}", tags=["quotas"], operation_id="putQuota", response_model=wire.Quota)
def put_quota(call: OperatorCall, project: Project, family: wire.Family, body: wire.QuotaPut) -> Response:
    """Grant a project a number of addresses of one family."""
    return call.run(lambda tx: supply.put_quota(tx, caller_of(call), project, family, body))


# --- flexible IPs ----------------------------------------------------------------------------------------------------


@router.post(
    "/flexible-ips",
    tags=["flexible-ips"],
    operation_id="reserveFlexibleIp",
    status_code=201,
    response_model=wire.FlexibleIP,
    responses=refuses(
        ProjectNotYours,
        ZoneUnknown,
        PoolUnknown,
        AddressTaken,
        AddressQuarantined,
        PoolExhausted,
        QuotaExceeded,
        AddressMalformed,
        AddressOutsidePool,
    ),
)
def reserve_flexible_ip(call: ReserveCall, body: wire.FlexibleIPReserve) -> Response:
    """Reserve an address for a project: any free one, or the one that is named."""
    return call.run(lambda tx: flexible_ips.reserve(tx, caller_of(call), body), 201)


@router.get(
    "/flexible-ips",
    tags=["flexible-ips"],
    operation_id="listFlexibleIps",
    responses=refuses(ProjectNotYours, FilterMalformed, AddressMalformed),
)
def list_flexible_ips(
    call: ReadCall,
    page: PagingDep,
    project: ProjectFilter = None,
    zone: ZoneFilter = None,
    family: FamilyFilter = None,
    pool: Annotated[wire.Name | None, Query(description="Only from pools of this name.")] = None,
    state: Annotated[wire.FlexibleIPState | None, Query(description="Only in this state.")] = None,
    name: NameFilter = None,
    address: Annotated[wire.Text | None, Query(description="Only this address or prefix.")] = None,
    target: Annotated[
        str | None,
        Query(description="`KIND/ID`: attached to it, leaving it or waiting for it.", json_schema_extra=TARGET_FILTER),
    ] = None,
    label: Annotated[
        wire.Text | None, Query(description="`KEY=VALUE`: only with this label.", json_schema_extra=LABEL_FILTER)
    ] = None,
    ids: Annotated[
        str | None,
        Query(description="Only these: up to 100 ids, separated by commas.", json_schema_extra=IDS_FILTER),
    ] = None,
) -> Page[wire.FlexibleIP]:
    """List flexible IPs."""
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
    responses=refuses(FlexibleIPUnknown),
)
def get_flexible_ip(call: ReadCall, flexible_ip_id: UUID) -> Response:
    """Read a flexible IP."""
    return resource(call.read(lambda tx: flexible_ips.flexible_ip(tx, caller_of(call), flexible_ip_id)))


@router.patch(
    "/flexible-ips/{flexible_ip_id}",
    tags=["flexible-ips"],
    operation_id="updateFlexibleIp",
    response_model=wire.FlexibleIP,
    responses=refuses(FlexibleIPUnknown, Quarantined),
)
def update_flexible_ip(call: MemberCall, flexible_ip_id: UUID, body: wire.FlexibleIPUpdate) -> Response:
    """Change a flexible IP's name, labels or protection."""
    return call.run(lambda tx: flexible_ips.update(tx, caller_of(call), flexible_ip_id, body))


@router.delete(
    "/flexible-ips/{flexible_ip_id}",
    tags=["flexible-ips"],
    operation_id="releaseFlexibleIp",
    response_model=wire.FlexibleIP,
    responses=refuses(FlexibleIPUnknown, Attached, Protected),
)
def release_flexible_ip(call: MemberCall, flexible_ip_id: UUID) -> Response:
    """Give an address back: it rests for its pool's quarantine, then is free. Repeating it changes nothing."""
    return call.run(lambda tx: flexible_ips.release(tx, caller_of(call), flexible_ip_id))


@router.post(
    "/flexible-ips/{flexible_ip_id}:restore",
    tags=["flexible-ips"],
    operation_id="restoreFlexibleIp",
    response_model=wire.FlexibleIP,
    responses=refuses(FlexibleIPUnknown, NotReleased, QuotaExceeded),
)
def restore_flexible_ip(call: MemberCall, flexible_ip_id: UUID) -> Response:
    """Take back a released address that still rests."""
    return call.run(lambda tx: flexible_ips.restore(tx, caller_of(call), flexible_ip_id))


@router.post(
    "/flexible-ips/{flexible_ip_id}:attach",
    tags=["flexible-ips"],
    operation_id="attachFlexibleIp",
    status_code=202,
    response_model=wire.Operation,
    responses=refuses(
        FlexibleIPUnknown,
        TargetUnknown,
        OperationUnknown,
        Quarantined,
        AlreadyAttached,
        InTransition,
        ZoneMismatch,
        TargetLimit,
        CandidatesFull,
    ),
)
def attach_flexible_ip(call: MemberCall, flexible_ip_id: UUID, body: wire.Attach) -> Response:
    """Attach a flexible IP to a target of the same project and zone. Repeating it answers the same operation."""
    return call.run(lambda tx: attaching.attach(tx, caller_of(call), flexible_ip_id, body), 202)


@router.post(
    "/flexible-ips/{flexible_ip_id}:detach",
    tags=["flexible-ips"],
    operation_id="detachFlexibleIp",
    status_code=202,
    response_model=wire.Operation,
    responses=refuses(FlexibleIPUnknown, NotAttached, NotAttachedThere, InTransition),
)
def detach_flexible_ip(call: MemberCall, flexible_ip_id: UUID, body: wire.Detach) -> Response:
    """Take a flexible IP off its target; it counts as held there until the nodes have withdrawn it."""
    return call.run(lambda tx: attaching.detach(tx, caller_of(call), flexible_ip_id, body), 202)


@router.post(
    "/flexible-ips/{flexible_ip_id}:move",
    tags=["flexible-ips"],
    operation_id="moveFlexibleIp",
    status_code=202,
    response_model=wire.Operation,
    responses=refuses(
        FlexibleIPUnknown,
        TargetUnknown,
        OperationUnknown,
        Quarantined,
        NotAttachedThere,
        AlreadyAttached,
        InTransition,
        ZoneMismatch,
        TargetLimit,
        CandidatesFull,
    ),
)
def move_flexible_ip(call: MemberCall, flexible_ip_id: UUID, body: wire.Move) -> Response:
    """Move a flexible IP from one target to another in one go."""
    return call.run(lambda tx: attaching.move(tx, caller_of(call), flexible_ip_id, body), 202)


@router.post(
    "/flexible-ips:swap",
    tags=["flexible-ips"],
    operation_id="swapFlexibleIps",
    status_code=202,
    response_model=wire.Operation,
    responses=refuses(
        FlexibleIPUnknown,
        TargetUnknown,
        OperationUnknown,
        Quarantined,
        NotAttachedThere,
        InTransition,
        TargetLimit,
        CandidatesFull,
        SwapSame,
    ),
)
def swap_flexible_ips(call: ReserveCall, body: wire.Swap) -> Response:
    """Let two addresses change places between two targets: both or neither."""
    return call.run(lambda tx: attaching.swap(tx, caller_of(call), body), 202)


@router.post(
    "/flexible-ips/{flexible_ip_id}:failover",
    tags=["flexible-ips"],
    operation_id="failOverFlexibleIp",
    status_code=202,
    response_model=wire.Operation,
    responses=refuses(
        FlexibleIPUnknown,
        TargetUnknown,
        OperationUnknown,
        Quarantined,
        NotFailover,
        NotAttached,
        NotAttachedThere,
        AlreadyAttached,
        InTransition,
        NotCandidate,
        NoCandidate,
        TargetLimit,
        Frozen,
        HeldDown,
    ),
)
def fail_over_flexible_ip(call: MemberCall, flexible_ip_id: UUID, body: wire.Failover) -> Response:
    """Make another candidate of a failover address the active one."""
    return call.run(lambda tx: failover.failover(tx, caller_of(call), flexible_ip_id, body), 202)


@router.post(
    "/flexible-ips/{flexible_ip_id}:thaw",
    tags=["flexible-ips"],
    operation_id="thawFlexibleIp",
    response_model=wire.FlexibleIP,
    responses=refuses(FlexibleIPUnknown, Quarantined, NotFailover),
)
def thaw_flexible_ip(call: MemberCall, flexible_ip_id: UUID) -> Response:
    """Let an address that failed over by health too often do so again."""
    return call.run(lambda tx: failover.thaw(tx, caller_of(call), flexible_ip_id))


@router.put(
    "/flexible-ips/{flexible_ip_id}/candidates",
    tags=["flexible-ips"],
    operation_id="putFlexibleIpCandidates",
    response_model=wire.FlexibleIP,
    responses=refuses(
        FlexibleIPUnknown,
        TargetUnknown,
        Quarantined,
        NotFailover,
        ZoneMismatch,
        TargetLimit,
        ActiveCandidate,
        CandidateTwice,
    ),
)
def put_flexible_ip_candidates(call: MemberCall, flexible_ip_id: UUID, body: wire.CandidatesPut) -> Response:
    """Set the targets that a failover address may go to. Each keeps room for it."""
    return call.run(lambda tx: failover.put_candidates(tx, caller_of(call), flexible_ip_id, body))


@router.put(
    "/flexible-ips/{flexible_ip_id}/health-check",
    tags=["flexible-ips"],
    operation_id="putFlexibleIpHealthCheck",
    response_model=wire.FlexibleIP,
    responses=refuses(FlexibleIPUnknown, Quarantined, NotFailover),
)
def put_flexible_ip_health_check(call: MemberCall, flexible_ip_id: UUID, body: wire.HealthCheck) -> Response:
    """Have whoever holds a failover address checked; found down, the address fails over."""
    return call.run(lambda tx: failover.put_health_check(tx, caller_of(call), flexible_ip_id, body))


@router.delete(
    "/flexible-ips/{flexible_ip_id}/health-check",
    tags=["flexible-ips"],
    operation_id="deleteFlexibleIpHealthCheck",
    response_model=wire.FlexibleIP,
    responses=refuses(FlexibleIPUnknown, Quarantined, NotFailover),
)
def delete_flexible_ip_health_check(call: MemberCall, flexible_ip_id: UUID) -> Response:
    """No longer check a failover address. Repeating it changes nothing."""
    return call.run(lambda tx: failover.put_health_check(tx, caller_of(call), flexible_ip_id, None))


@router.post(
    "/flexible-ips:adopt",
    tags=["flexible-ips"],
    operation_id="adoptFlexibleIps",
    response_model=wire.Adopted,
    responses=refuses(
        TargetKindNotYours,
        ZoneUnknown,
        TargetUnknown,
        PrefixOverlap,
        ZoneMismatch,
        PrefixMalformed,
        PrefixFamily,
        PrefixLength,
    ),
)
def adopt_flexible_ips(call: ServiceCreateCall, body: wire.Adopt) -> Response:
    """Make legacy IPv6 prefixes flexible IPs of the targets that use them: all of them, or none."""
    return call.run(lambda tx: adopting.adopt(tx, caller_of(call), body))


@router.get(
    "/flexible-ips/{flexible_ip_id}/audit",
    tags=["flexible-ips"],
    operation_id="listFlexibleIpAudit",
    responses=refuses(FlexibleIPUnknown),
)
def list_flexible_ip_audit(call: ReadCall, page: PagingDep, flexible_ip_id: UUID) -> Page[wire.AuditRecord]:
    """List the changes of a flexible IP, the oldest first."""
    return call.read(lambda tx: flexible_ips.audit(tx, caller_of(call), page, flexible_ip_id))


@router.get(
    "/holdings",
    tags=["holdings"],
    operation_id="listHoldings",
    responses=refuses(ProjectNotYours, FilterMalformed, AddressMalformed),
)
def list_holdings(
    call: ReadCall,
    page: PagingDep,
    project: ProjectFilter = None,
    address: Annotated[
        wire.Text | None, Query(description="An address, or a prefix that overlaps what was held.")
    ] = None,
    at: Annotated[datetime | None, Query(description="Only who held it at this moment; with a time zone.")] = None,
) -> Page[wire.Holding]:
    """List who held what, the newest first."""
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


# --- operations ------------------------------------------------------------------------------------------------------


@router.get(
    "/operations",
    tags=["operations"],
    operation_id="listOperations",
    responses=refuses(ProjectNotYours),
)
def list_operations(
    call: ReadCall,
    page: PagingDep,
    project: ProjectFilter = None,
    resource: Annotated[wire.Text | None, Query(description="Path of the resource that is changed.")] = None,
    state: Annotated[wire.OperationState | None, Query(description="Only in this state.")] = None,
) -> Page[wire.Operation]:
    """List operations, the newest first."""
    return call.read(lambda tx: attaching.operations(tx, caller_of(call), page, project, resource, state))


@router.get(
    "/operations/{operation_id}",
    tags=["operations"],
    operation_id="getOperation",
    response_model=wire.Operation,
    responses=refuses(OperationUnknown),
)
async def get_operation(call: ReadCall, operation_id: wire.Text, wait_s: WaitSeconds = 0) -> Response:
    """Read an operation now, or as soon as it is final."""
    return await when_final(
        lambda: call.read(lambda tx: attaching.operation(tx, caller_of(call), operation_id)), wait_s
    )
