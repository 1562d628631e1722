"""Registers a new cloud through its public APIs, as an operator would: zones, nodes, pools, flavours. Idempotent."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import httpx

from cloud.plan import REGION, Node, Plan, Role, Stack, Zone
from common.errors import DomainError, Unavailable
from common.http import ServiceClient

QUARANTINE_S = 10  # short: a local cloud is for trying things out
PATIENCE_S = 60.0

FLAVORS = (
    {"name": "small", "vcpus": 1, "memory_mb": 1024, "disk_gb": 10},
    {"name": "medium", "vcpus": 2, "memory_mb": 4096, "disk_gb": 40},
    {"name": "large", "vcpus": 4, "memory_mb": 8192, "disk_gb": 80},
)
INVENTORIES = (
    {"resource_class": "VCPU", "total": 64, "allocation_ratio": 4.0},
    {"resource_class": "MEMORY_MB", "total": 262144},
    {"resource_class": "DISK_GB", "total": 4096},
)
TRAITS = ["CUSTOM_HOSTNAT", "CUSTOM_LOCAL_CLOUD"]


class NodesSilent(Unavailable):
    """Some nodes' agents were not heard in time."""

    code = "cloud.nodes_silent"


class _Api(ServiceClient):
    """One service of the cloud; an API that has just started may ask to be tried again."""

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        ends = time.monotonic() + PATIENCE_S
        while True:
            try:
                return self.request(method, path, json=body).json()
            except Unavailable as error:
                if time.monotonic() > ends:
                    raise error from None
                time.sleep(0.1)

    def items(self, path: str) -> list[dict[str, Any]]:
        """All of a paged list."""
        return _items(lambda page: self.call("GET", page), path)


def _items(get: Callable[[str], Any], path: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        page = get(path if cursor is None else str(httpx.URL(path).copy_add_param("cursor", cursor)))
        found += page["items"]
        cursor = page.get("next_cursor")
        if cursor is None:
            return found


def register(apis: Mapping[str, str], plan: Plan, stack: Stack, operator_token: str) -> None:
    """Raises DomainError."""
    placement = _Api(apis["placement"], lambda: operator_token)
    ipam = _Api(apis["ipam"], lambda: operator_token)
    try:
        stacks = {zone["name"]: zone["stack"] for zone in placement.items("/placement/v1/zones")}
        for zone in plan.zones:
            # A zone that was converted keeps its new stack; asking again mends a zone the ledger never heard of.
            wanted = {"region": REGION, "stack": stacks.get(zone.name, stack)}
            placement.call("PUT", f"/placement/v1/zones/{zone.name}", wanted)
        _register_pools(ipam, plan.zones)
        for node in plan.nodes:
            placement.call("PUT", f"/placement/v1/nodes/{node.id}", _node(node))
        known = {flavor["name"] for flavor in placement.items("/placement/v1/flavors")}
        for flavor in FLAVORS:
            if flavor["name"] not in known:
                placement.call("POST", "/placement/v1/flavors", dict(flavor))
    finally:
        placement.close()
        ipam.close()


def _register_pools(ipam: _Api, zones: Sequence[Zone]) -> None:
    known = {pool["name"]: pool for pool in ipam.items("/ipam/v1/pools")}
    for zone, pool in [(each, pool) for each in zones for pool in each.pools]:
        family = f"ipv{pool.prefix.version}"
        wanted = {"name": pool.name, "zone": zone.name, "family": family, "quarantine_seconds": QUARANTINE_S}
        there = known.get(pool.name) or ipam.call("POST", "/ipam/v1/pools", wanted)
        if str(pool.prefix) not in {prefix["cidr"] for prefix in there["prefixes"]}:
            ipam.call("POST", f"/ipam/v1/pools/{there['id']}/prefixes", {"cidr": str(pool.prefix)})


def _node(node: Node) -> dict[str, Any]:
    body: dict[str, Any] = {
        "name": node.name,
        "zone": node.zone,
        "role": str(node.role),
        "agent_url": node.agent_url,
        "endpoint": str(node.endpoint),
        "endpoint_ipv6": str(node.endpoint_ipv6) if node.endpoint_ipv6 else None,
        "neighbours": [str(link.address4.ip) for link in node.links],
    }
    if node.role is Role.HYPERVISOR:
        private, legacy = node.prefixes
        body |= {
            "private_prefix": str(private),
            "legacy_prefix": str(legacy),
            "inventories": [dict(inventory) for inventory in INVENTORIES],
            "traits": TRAITS,
        }
    return body


def conditions(apis: Mapping[str, str], operator_token: str) -> dict[str, str]:
    """Placement's view of each node by name; empty when it does not answer."""
    placement = ServiceClient(apis["placement"], lambda: operator_token, timeout_s=2)
    try:
        nodes = _items(lambda page: placement.request("GET", page).json(), "/placement/v1/nodes?limit=200")
    except DomainError:
        return {}
    finally:
        placement.close()
    return {node["name"]: node["condition"] for node in nodes}


def wait_until_up(apis: Mapping[str, str], operator_token: str, logs: str) -> None:
    """Until placement has heard every node's agent and each holds what it should. Raises NodesSilent."""
    placement = _Api(apis["placement"], lambda: operator_token)
    ends = time.monotonic() + PATIENCE_S
    try:
        while waiting := [node for node in placement.items("/placement/v1/nodes") if not _ready(node)]:
            if time.monotonic() > ends:
                names = ", ".join(node["name"] for node in waiting)
                raise NodesSilent(f"not up within {PATIENCE_S:.0f} s: {names}; see {logs}")
            time.sleep(0.1)
    finally:
        placement.close()


def _ready(node: dict[str, Any]) -> bool:
    holds = node["applied_generation"] == node["generation"] and not node["failures"]
    return bool(node["condition"] == "up" and holds)
