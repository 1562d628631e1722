"""HTTP of the controller: handlers translate, call, translate."""

from __future__ import annotations

from fastapi import APIRouter

from services.placement.api import conversions, flavors, instances, nodes, operations, status, traces, zones

TAGS = {
    "zones": "Availability zones: how public addresses reach guests there.",
    "nodes": "Machines with an agent: hypervisors, gateways, edges; what they supply and what of it is held.",
    "flavors": "The sizes that instances come in.",
    "instances": "Machines of customers: where they run, and how their addresses reach them.",
    "conversions": "A zone's passage off the central NAT, wave by wave.",
    "traces": "Where packets for an address go, and what keeps them.",
    "status": "The service itself, for whoever looks after it.",
    "operations": "Changes that take a while: list them, watch them.",
}

router = APIRouter(prefix="/placement/v1")
for part in (status, zones, nodes, flavors, instances, conversions, traces, operations):
    router.include_router(part.router)
