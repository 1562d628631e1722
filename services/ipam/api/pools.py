"""Pools and their prefixes."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter, Response

from common.web import Page, PagingDep, refuses, resource
from services.ipam import wire
from services.ipam.api.calls import (
    FamilyFilter,
    NameFilter,
    OperatorCall,
    OperatorCreateCall,
    ReadCall,
    ZoneFilter,
    caller_of,
)
from services.ipam.errors import (
    PoolExists,
    PoolLength,
    PoolUnknown,
    PrefixFamily,
    PrefixInUse,
    PrefixLength,
    PrefixMalformed,
    PrefixOverlap,
    PrefixUnknown,
    ZoneUnknown,
)
from services.ipam.service import supply

router = APIRouter()


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
