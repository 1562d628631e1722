"""The ledger over HTTP. Handlers translate; rules and queries are elsewhere."""

from __future__ import annotations

from fastapi import APIRouter

from services.ipam.api import flexible_ips, operations, pools, quotas, status, targets, zones

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

router = APIRouter(prefix="/ipam/v1")
for part in (status, zones, pools, quotas, flexible_ips, targets, operations):
    router.include_router(part.router)
