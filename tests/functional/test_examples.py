"""Every example of a request body in the OpenAPI documents is sent to the real service as it stands, and succeeds."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import update

from clients import generate
from common.db import Database
from services.ipam.model import FlexibleIP, Holding
from services.ipam.wire import DATABASE, FRONT, SPARE, WEB
from tests.functional import controller
from tests.functional.controller import Controller
from tests.functional.ledger import Ledger, ok

Example = tuple[str, int]
"""An operation's id, and which of its examples."""


def examples(service: str) -> dict[Example, tuple[str, str, Any]]:
    """Each example with its method and path."""
    document = json.loads(generate.path_of(service).read_text(encoding="utf-8"))
    found = {}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if "requestBody" in operation:
                reference = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"]
                schema = document["components"]["schemas"][reference.rpartition("/")[2]]
                for number, body in enumerate(schema.get("examples") or [None]):
                    found[operation["operationId"], number] = (method.upper(), path, body)
    return found


def labelled(example: Example) -> str:
    return f"{example[0]}-{example[1]}"


# --- the ledger ------------------------------------------------------------------------------------------------------


def zone(ledger: Ledger, _: Any = None) -> dict[str, str]:
    ledger.zone("zone-1")
    return {}


def pool_of_its_family(ledger: Ledger, body: Any) -> dict[str, str]:
    zone(ledger)
    family = "ipv6" if ":" in body.get("cidr", "") else "ipv4"
    pool = ok(ledger.operator.post("/pools", {"name": "public", "zone": "zone-1", "family": family}))
    return {"pool_id": pool["id"]}


def supply(ledger: Ledger, _: Any = None) -> dict[str, str]:
    zone(ledger)
    ledger.pool("public", "198.18.16.0/22", zone="zone-1")
    ledger.pool("public-v6", "2001:db8:16::/48", zone="zone-1")
    return {}


def targets(ledger: Ledger, _: Any = None) -> dict[str, str]:
    zone(ledger)
    for target_id in (WEB, DATABASE):
        body = {"project": "red", "zone": "zone-1", "name": "web"}
        ok(ledger.service.put(f"/targets/instance/{target_id}", body))
    return {"kind": "instance", "target_id": WEB}


def reserved(ledger: Ledger, _: Any = None) -> dict[str, str]:
    supply(ledger)
    targets(ledger)
    return {"flexible_ip_id": ledger.red.reserve("zone-1")["id"]}


def attached(ledger: Ledger, _: Any = None) -> dict[str, str]:
    path = reserved(ledger)
    ledger.red.attach({"id": path["flexible_ip_id"]}, {"kind": "instance", "id": WEB})
    return path


def failover(ledger: Ledger, _: Any = None) -> dict[str, str]:
    supply(ledger)
    targets(ledger)
    fip = ledger.red.reserve("zone-1", kind="failover")
    listed = [{"target": {"kind": "instance", "id": target_id}} for target_id in (WEB, DATABASE)]
    ok(ledger.red.put(f"/flexible-ips/{fip['id']}/candidates", {"candidates": listed}))
    ledger.red.attach(fip, listed[0]["target"])
    return {"flexible_ip_id": fip["id"]}


def two_held(ledger: Ledger, _: Any = None) -> dict[str, str]:
    """Two addresses by the ids of the example."""
    supply(ledger)
    targets(ledger)
    database = Database(ledger.database_url, lambda *_: None)
    for fip_id, target_id in ((FRONT, WEB), (SPARE, DATABASE)):
        fip = ledger.red.reserve("zone-1")
        with database.transaction() as tx:
            tx.session.execute(update(FlexibleIP).where(FlexibleIP.id == UUID(fip["id"])).values(id=UUID(fip_id)))
            tx.session.execute(
                update(Holding).values(flexible_ip_id=UUID(fip_id)).where(Holding.address == fip["address"])
            )
        ledger.red.attach({"id": fip_id}, {"kind": "instance", "id": target_id})
    database.close()
    return {}


LEDGER: dict[str, tuple[str, Callable[[Ledger, Any], dict[str, str]]]] = {
    "putZone": ("service", lambda *_: {"name": "zone-1"}),
    "createPool": ("operator", zone),
    "updatePool": ("operator", pool_of_its_family),
    "addPrefix": ("operator", pool_of_its_family),
    "putQuota": ("operator", lambda *_: {"project": "red", "family": "ipv4"}),
    "reserveFlexibleIp": ("red", supply),
    "updateFlexibleIp": ("red", reserved),
    "attachFlexibleIp": ("red", reserved),
    "detachFlexibleIp": ("red", attached),
    "moveFlexibleIp": ("red", attached),
    "swapFlexibleIps": ("red", two_held),
    "failOverFlexibleIp": ("red", failover),
    "putFlexibleIpCandidates": ("red", failover),
    "putFlexibleIpHealthCheck": ("red", failover),
    "adoptFlexibleIps": ("service", targets),
    "putTarget": ("service", lambda ledger, _: zone(ledger) | {"kind": "instance", "target_id": WEB}),
    "reportRealized": ("service", targets),
}
"""Who sends an operation's examples, and what there must be before; the answer fills the path."""


@pytest.mark.parametrize("example", examples("ipam"), ids=labelled)
def test_an_example_of_the_ledger_works(ledger: Ledger, example: Example) -> None:
    method, path, body = examples("ipam")[example]
    who, prepare = LEDGER[example[0]]
    filled = path.removeprefix("/ipam/v1").format(**prepare(ledger, body))
    ok(getattr(ledger, who).request(method, filled, json=body))


# --- the controller --------------------------------------------------------------------------------------------------


@pytest.fixture
def cloud(placement_database: str, ledger: Ledger) -> Iterator[Controller]:
    with controller.running(placement_database, ledger, zone="zone-1") as running:
        yield running


def instance(cloud: Controller, _: Any = None) -> dict[str, str]:
    return {"instance_id": cloud.instance("web", "operator", hypervisor="hypervisor-1")["id"]}


def archived(cloud: Controller, _: Any = None) -> dict[str, str]:
    path = instance(cloud)
    cloud.act({"id": path["instance_id"]}, "stop")
    return path


def node(cloud: Controller, body: Any) -> dict[str, str]:
    name = body.get("name", "hypervisor-1")
    return {"node_id": cloud.get("/nodes", name=name)["items"][0]["id"]}


def shrunk(cloud: Controller, _: Any) -> dict[str, str]:
    cloud.shrink_pool()
    return node(cloud, {"name": "gateway-1"})


def nat_instance(cloud: Controller, _: Any = None) -> dict[str, str]:
    return {"instance_id": cloud.instance("web", mode="nat", allocate=["ipv4"])["id"]}


def conversion(cloud: Controller, body: Any) -> dict[str, str]:
    """One that pauses by itself before its waves, if it is to be resumed."""
    nat_instance(cloud)
    wanted = {"zone": "zone-1", "through": "canary" if "through" in body else "done"}
    planned = ok(cloud.post("/conversions", wanted, "operator"))
    ok(cloud.post(f"/conversions/{planned['id']}:start", who="operator"))
    return {"conversion_id": planned["id"]}


CONTROLLER: dict[str, tuple[str, Callable[[Controller, Any], dict[str, str]]]] = {
    "putZone": ("operator", lambda *_: {"name": "zone-2"}),
    "putNode": ("operator", node),
    "updateNode": ("operator", node),
    "fenceNode": ("operator", node),
    "drainNode": ("operator", node),
    "approveWithdrawal": ("operator", shrunk),
    "createFlavor": ("operator", lambda *_: {}),
    "createInstance": ("red", lambda *_: {}),
    "startInstance": ("operator", archived),
    "moveInstance": ("operator", instance),
    "convertInstance": ("red", nat_instance),
    "planConversion": ("operator", lambda cloud, _: nat_instance(cloud)),
    "pauseConversion": ("operator", conversion),
    "resumeConversion": ("operator", conversion),
}


@pytest.mark.parametrize("example", examples("placement"), ids=labelled)
def test_an_example_of_the_controller_works(cloud: Controller, example: Example) -> None:
    method, path, body = examples("placement")[example]
    who, prepare = CONTROLLER[example[0]]
    filled = path.removeprefix("/placement/v1").format(**prepare(cloud, body))
    cloud.hear()
    answer = ok(cloud.request(who, method, filled, json=body, headers={"Idempotency-Key": str(uuid4())}))
    if answer.get("state") == "pending":
        cloud.settle()
        assert cloud.operation(answer)["state"] == "succeeded"
