"""Zones' conversions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from common.http import Unreachable
from common.web import Page, PagingDep, refuses, resource
from services.placement import wire
from services.placement.api.calls import Observing, Operator, OperatorCreates, OperatorReads, ZoneFilter
from services.placement.conversion.phases import PortState
from services.placement.conversion.prechecks import Seen
from services.placement.errors import (
    ConversionExists,
    ConversionNodes,
    ConversionPhase,
    ConversionStack,
    ConversionUnknown,
    PlanStale,
    SoakUnfinished,
    ZoneUnknown,
)
from services.placement.service import conversions

router = APIRouter()


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
