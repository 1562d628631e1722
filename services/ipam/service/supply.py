"""Zones, pools, prefixes and quotas: where addresses come from, and how many a project may hold."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Sequence
from uuid import UUID

from sqlalchemy.exc import IntegrityError

from common.db import Transaction, violated
from common.status import common_facts
from common.web import Page, Paging, check_revision
from services.ipam import addressing, model, present, wire
from services.ipam.errors import (
    AddressOutsidePool,
    AddressQuarantined,
    AddressTaken,
    PoolExhausted,
    PoolExists,
    PoolUnknown,
    PrefixInUse,
    PrefixOverlap,
    PrefixUnknown,
    QuotaExceeded,
    ZoneUnknown,
)
from services.ipam.service.caller import Caller
from services.ipam.store import supply

SEED_BLOCK = 1024
"""How many IPv4 addresses join the queue at a time: a large prefix is never written at once."""

DEFAULT_QUOTA = 100
RANDOM_TRIES = 8
WINDOW, WINDOWS = 4096, 16


# --- zones -----------------------------------------------------------------------------------------------------------


def put_zone(tx: Transaction, caller: Caller, name: str, body: wire.ZonePut) -> wire.Zone:
    zone = supply.lock_zone(tx, name)
    if zone is None:
        check_revision(caller.expected_revision, 0)
        zone = model.Zone(name=name, region=body.region, accepts_regional=body.accepts_regional)
        tx.session.add(zone)
        tx.session.flush()
        return present.zone(zone)
    check_revision(caller.expected_revision, zone.revision)
    if (zone.region, zone.accepts_regional) != (body.region, body.accepts_regional):
        zone.region, zone.accepts_regional = body.region, body.accepts_regional
        zone.revision += 1
    return present.zone(zone)


def zone(tx: Transaction, name: str) -> wire.Zone:
    return present.zone(_zone(tx, name))


def zones(tx: Transaction, paging: Paging) -> Page[wire.Zone]:
    rows = supply.zones(tx, paging.limit + 1, paging.key(str))
    return paging.page([present.zone(row) for row in rows], lambda item: [item.name])


def _zone(tx: Transaction, name: str) -> model.Zone:
    found = supply.zone(tx, name)
    if found is None:
        raise ZoneUnknown(f"there is no zone {name!r}")
    return found


# --- pools -----------------------------------------------------------------------------------------------------------


def status(tx: Transaction, *, broker: bool) -> wire.LedgerStatus:
    pools = []
    for pool, used in supply.pools_in_use(tx):
        total = sum(1 << pool.prefix_length - int(prefix.cidr.partition("/")[2]) for prefix in pool.prefixes)
        name, zone, family = pool.name, pool.zone, wire.Family(pool.family)
        pools.append(wire.PoolSupply(pool=name, zone=zone, family=family, total=total, free=total - used))
    return wire.LedgerStatus(**common_facts(tx, "ipam", model.Operation, broker=broker), pools=pools)


def create_pool(tx: Transaction, body: wire.PoolCreate) -> wire.Pool:
    _zone(tx, body.zone)
    pool = model.Pool(
        name=body.name,
        zone=body.zone,
        family=body.family,
        prefix_length=addressing.unit_length(body.family, body.prefix_length),
        quarantine_seconds=body.quarantine_seconds,
        prefixes=[],
    )
    tx.session.add(pool)
    try:
        tx.session.flush()
    except IntegrityError as error:
        if violated(error) == "pool_zone_name_key":
            raise PoolExists(f"zone {body.zone} has a pool {body.name!r} already") from error
        raise
    tx.ring(wire.POOLS_CHANGED)
    return present.pool(pool)


def pool(tx: Transaction, pool_id: UUID) -> wire.Pool:
    found = supply.pool(tx, pool_id)
    if found is None:
        raise PoolUnknown(f"there is no pool {str(pool_id)!r}")
    return present.pool(found)


def pools(
    tx: Transaction, paging: Paging, zone: str | None, family: wire.Family | None, name: str | None
) -> Page[wire.Pool]:
    rows = supply.pools(tx, paging.limit + 1, paging.key(UUID), zone, family, name)
    return paging.page([present.pool(row) for row in rows], lambda item: [str(item.id)])


def _locked_pool(tx: Transaction, caller: Caller, pool_id: UUID) -> model.Pool:
    found = supply.lock_pool(tx, pool_id)
    if found is None:
        raise PoolUnknown(f"there is no pool {str(pool_id)!r}")
    check_revision(caller.expected_revision, found.revision)
    return found


def update_pool(tx: Transaction, caller: Caller, pool_id: UUID, body: wire.PoolUpdate) -> wire.Pool:
    pool = _locked_pool(tx, caller, pool_id)
    if pool.quarantine_seconds != body.quarantine_seconds:
        pool.quarantine_seconds = body.quarantine_seconds
        pool.revision += 1
    return present.pool(pool)


# --- prefixes --------------------------------------------------------------------------------------------------------


def add_prefix(tx: Transaction, caller: Caller, pool_id: UUID, body: wire.PrefixCreate) -> wire.Prefix:
    pool = _locked_pool(tx, caller, pool_id)
    cidr = addressing.parse_prefix(body.cidr, wire.Family(pool.family), pool.prefix_length)
    require_apart(tx, [cidr])
    prefix = model.Prefix(pool_id=pool.id, cidr=cidr, seeded=0)
    tx.session.add(prefix)
    pool.revision += 1
    try:
        tx.session.flush()
    except IntegrityError as error:
        if violated(error) == "prefix_overlap":
            raise PrefixOverlap(f"{cidr} overlaps a prefix that was added just now") from error
        raise
    if pool.family == wire.Family.IPV4:
        _seed_block(tx, pool, prefix)
    tx.ring(wire.POOLS_CHANGED)
    return present.prefix(prefix, pool)


def require_apart(tx: Transaction, cidrs: Collection[str]) -> None:
    """Raises PrefixOverlap if any of `cidrs` overlaps what the ledger has."""
    supply.forget_rested(tx, cidrs)
    found = supply.prefix_overlapping(tx, cidrs)
    if found is not None:
        cidr, other = found
        raise PrefixOverlap(
            f"{cidr} overlaps {other.cidr}, which is {'carried' if other.pool_id is None else 'in a pool'}"
        )


def prefixes(tx: Transaction, paging: Paging, pool_id: UUID) -> Page[wire.Prefix]:
    pool = supply.pool(tx, pool_id)
    if pool is None:
        raise PoolUnknown(f"there is no pool {str(pool_id)!r}")
    rows = supply.prefix_page(tx, pool_id, paging.limit + 1, paging.key(UUID))
    return paging.page([present.prefix(row, pool) for row in rows], lambda item: [str(item.id)])


def delete_prefix(tx: Transaction, caller: Caller, pool_id: UUID, prefix_id: UUID) -> wire.Prefix:
    pool = _locked_pool(tx, caller, pool_id)
    prefix = supply.lock_prefix(tx, pool_id, prefix_id)
    if prefix is None:
        raise PrefixUnknown(f"pool {pool.name} has no prefix {str(prefix_id)!r}")
    if supply.prefix_in_use(tx, prefix_id):
        raise PrefixInUse(f"addresses of {prefix.cidr} are held or in quarantine")
    answer = present.prefix(prefix, pool)
    pool.revision += 1
    try:
        supply.delete_prefix(tx, prefix)
    except IntegrityError as error:
        raise PrefixInUse(f"an address of {prefix.cidr} was reserved just now") from error
    tx.ring(wire.POOLS_CHANGED)
    return answer


# --- claiming an address ---------------------------------------------------------------------------------------------


def claim(
    tx: Transaction, body: wire.FlexibleIPReserve, randbelow: addressing.RandBelow = secrets.randbelow
) -> tuple[model.Pool, str]:
    """The pool and the address a reservation gets. Raises what the request lacks, or PoolExhausted."""
    pools = supply.pools_to_reserve_from(tx, body.zone, body.family, body.pool)
    if not pools:
        _zone(tx, body.zone)
        named = f"no {body.family} pool {body.pool!r}" if body.pool else f"no {body.family} pool"
        raise PoolUnknown(f"zone {body.zone} has {named}")
    if body.address is not None:
        return _claim_named(tx, pools, body.address, body.family)
    take = _claim_ipv4 if body.family is wire.Family.IPV4 else _claim_ipv6
    for pool in pools:
        address = take(tx, pool, randbelow)
        if address is not None:
            return pool, address
    # What looked empty may have been merely locked by requests that then failed: ask again, waiting for them.
    for pool in pools:
        address = supply.claim_waiting(tx, pool.id)
        if address is not None:
            return pool, address
    names = ", ".join(pool.name for pool in pools)
    raise PoolExhausted(f"no free {body.family} address is left in {names}; choose another pool")


def _claim_named(
    tx: Transaction, pools: Sequence[model.Pool], address: str, family: wire.Family
) -> tuple[model.Pool, str]:
    asked = addressing.parse_address(address, family)
    prefix = supply.prefix_holding(tx, pools, asked)
    if prefix is None:
        raise AddressOutsidePool(f"{address} is in no prefix of {', '.join(pool.name for pool in pools)}")
    pool = next(pool for pool in pools if pool.id == prefix.pool_id)
    unit = addressing.unit_named(asked, pool.prefix_length)
    if supply.claim_named(tx, prefix, unit):
        return pool, unit
    row = supply.supply_of(tx, unit)
    if row is not None and row.free:
        raise AddressQuarantined(f"{address} rests until {row.available_at.isoformat()}; ask again then")
    raise AddressTaken(f"{address} is held by somebody; ask for another, or for any")


def _seed_block(tx: Transaction, pool: model.Pool, prefix: model.Prefix) -> None:
    units = addressing.range_of(prefix.cidr, pool.prefix_length)
    size = min(SEED_BLOCK, units.count - prefix.seeded)
    supply.seed(tx, prefix, list(units.window(prefix.seeded, size)))


def _claim_ipv4(tx: Transaction, pool: model.Pool, _randbelow: addressing.RandBelow) -> str | None:
    address = supply.claim_any(tx, pool.id)
    while address is None:
        prefix = supply.lock_unseeded_prefix(tx, pool.id)
        if prefix is None:
            return None
        address = supply.claim_any(tx, pool.id)  # whoever held the prefix's lock may have seeded it
        if address is None:
            _seed_block(tx, pool, prefix)
            address = supply.claim_any(tx, pool.id)
    return address


def _claim_ipv6(tx: Transaction, pool: model.Pool, randbelow: addressing.RandBelow) -> str | None:
    for prefix in supply.prefixes_of(tx, pool.id):
        units = addressing.range_of(prefix.cidr, pool.prefix_length)
        for _ in range(RANDOM_TRIES):
            address = units.cidr(randbelow(units.count))
            if supply.claim_named(tx, prefix, address):
                return address
        start = randbelow(units.count)
        for number in range(min(WINDOWS, -(-units.count // WINDOW))):
            window = list(units.window(start + number * WINDOW, WINDOW))
            given = supply.given_of(tx, window)
            for address in window:
                if address not in given and supply.claim_named(tx, prefix, address):
                    return address
    return None


# --- quotas ----------------------------------------------------------------------------------------------------------


def count(tx: Transaction, project: str, family: str) -> None:
    """Count one more address of a project. Raises QuotaExceeded."""
    if not supply.count_against_quota(tx, project, family, DEFAULT_QUOTA):
        raise QuotaExceeded(f"project {project} holds as many {family} addresses as its quota allows")


def put_quota(tx: Transaction, caller: Caller, project: str, family: wire.Family, body: wire.QuotaPut) -> wire.Quota:
    """Grant a project a number of addresses; what it holds above that it keeps."""
    quota = supply.lock_quota(tx, project, family)
    check_revision(caller.expected_revision, quota.revision if quota is not None else 0)
    return present.quota(supply.put_quota(tx, project, family, body.limit))


def quotas(tx: Transaction, caller: Caller, paging: Paging, project: str | None) -> Page[wire.Quota]:
    rows = supply.quotas(tx, paging.limit + 1, paging.key(str, str), caller.filtered(project))
    return paging.page([present.quota(row) for row in rows], lambda item: [item.project, item.family])
