"""Availability zones."""

from __future__ import annotations

from fastapi import APIRouter, Response

from common.web import Page, PagingDep, refuses, resource
from services.ipam import wire
from services.ipam.api.calls import ReadCall, SupplyCall, caller_of
from services.ipam.errors import ZoneUnknown
from services.ipam.service import supply

router = APIRouter()


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
