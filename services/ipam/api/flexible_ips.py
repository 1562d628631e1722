"""Flexible IPs: reserved, attached, moved, released."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from common.web import Page, PagingDep, refuses, resource
from services.ipam import addressing, wire
from services.ipam.api.calls import (
    IDS_FILTER,
    LABEL_FILTER,
    TARGET_FILTER,
    FamilyFilter,
    MemberCall,
    NameFilter,
    ProjectFilter,
    ReadCall,
    ReserveCall,
    ServiceCreateCall,
    ZoneFilter,
    caller_of,
)
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
    PoolUnknown,
    PrefixFamily,
    PrefixLength,
    PrefixMalformed,
    PrefixOverlap,
    ProjectNotYours,
    Protected,
    Quarantined,
    QuotaExceeded,
    SwapSame,
    TargetKindNotYours,
    TargetLimit,
    TargetUnknown,
    ZoneMismatch,
    ZoneUnknown,
)
from services.ipam.service import adopting, attaching, failover, flexible_ips

router = APIRouter()


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
