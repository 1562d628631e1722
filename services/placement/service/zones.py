"""Zones: their stack, and the public prefixes their nodes answer for."""

from __future__ import annotations

from common.db import Transaction
from common.web import Page, Paging, check_revision
from services.placement import bells, wire
from services.placement.errors import ZoneImmutable, ZoneUnknown
from services.placement.model import Zone
from services.placement.store import nodes


def put_zone(tx: Transaction, name: str, body: wire.ZonePut, expected: int | None) -> wire.Zone:
    """Register a zone. Raises ZoneImmutable if it exists with another region or stack."""
    zone = nodes.zone(tx, name, lock=True)
    check_revision(expected, zone.revision if zone else 0)
    if zone is None:
        zone = Zone(name=name, region=body.region, stack=body.stack)
        tx.session.add(zone)
        tx.session.flush()
        tx.ring(bells.POOLS)
    elif (zone.region, zone.stack) != (body.region, body.stack):
        raise ZoneImmutable(f"zone {name} is of region {zone.region} and stack {zone.stack}")
    return zone_wire(zone)


def zone_wire(zone: Zone) -> wire.Zone:
    return wire.Zone(name=zone.name, region=zone.region, stack=wire.Stack(zone.stack), revision=zone.revision)


def get_zone(tx: Transaction, name: str) -> wire.Zone:
    zone = nodes.zone(tx, name)
    if zone is None:
        raise ZoneUnknown(f"there is no zone {name!r}")
    return zone_wire(zone)


def list_zones(tx: Transaction, paging: Paging) -> Page[wire.Zone]:
    return paging.page(
        [zone_wire(zone) for zone in nodes.zones(tx, paging.limit + 1, paging.key(str))], key=lambda zone: [zone.name]
    )
