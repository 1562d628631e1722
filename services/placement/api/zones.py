"""Availability zones."""

from __future__ import annotations

from fastapi import APIRouter, Response

from common.http import Unreachable
from common.web import Page, PagingDep, refuses, resource
from services.placement import ledger, wire
from services.placement.api.calls import Ledger, Operator, Reader
from services.placement.errors import ZoneImmutable, ZoneUnknown
from services.placement.service import zones

router = APIRouter()


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
