"""What a request does can be followed by its id through every process it passes, to the kernel that was changed."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID, uuid4

import httpx
from godwit_client.placement.models import Mode

from cloud.site import LocalSite
from cloud.tour.customer import Customer
from tests.e2e.conftest import Godwit, eventually


def logged(site: LocalSite, process: str, request: str) -> list[str]:
    """The events of a process that bear a request's id."""
    lines = [line for line in site.log(process).splitlines() if request in line]
    return [row["event"] for row in map(json.loads, lines) if row["request_id"] == request]


def ask(site: LocalSite, project: str, url: str, body: Any, request: str) -> Any:
    headers = {"Authorization": f"Bearer {site.token(project=project, roles=['member'])}", "X-Request-ID": request}
    answered = httpx.post(url, json=body, headers=headers, timeout=30)
    assert answered.is_success, answered.text
    assert (answered.headers["X-Request-ID"], answered.json()["request_id"]) == (request, request)
    return answered.json()


def test_an_attachment_and_a_creation_are_found_in_every_log_by_their_ids(
    site: LocalSite, customer: Customer, project: str, godwit: Godwit
) -> None:
    first, second = (f"story-{uuid4()}" for _ in range(2))
    body = {"name": f"web-{project}", "zone": site.zone, "flavor": "small", "mode": Mode.ROUTED, "allocate": ["ipv4"]}
    created = ask(site, project, f"{site.apis['placement']}/placement/v1/instances", body, first)
    assert godwit("operation", "watch", created["id"]).code == 0
    instance = customer.instance(UUID(created["resource"].rpartition("/")[2]))
    fip = customer.reserve("public")
    path = f"{site.apis['ipam']}/ipam/v1/flexible-ips/{fip.id}:attach"
    attached = ask(site, project, path, {"target": {"kind": "instance", "id": str(instance.id)}}, second)
    assert godwit("operation", "watch", attached["id"]).code == 0

    agent = site.agent(str(instance.hypervisor))
    for process, event, request in (
        ("placement", "request.done", first),
        ("worker", "task.done", first),
        ("ipam", "request.done", first),  # the worker's, on behalf of the same
        (agent, "kernel.changed", first),
        ("ipam", "request.done", second),
        ("worker", "task.done", second),
        (agent, "kernel.changed", second),
    ):
        found = lambda p=process, e=event, r=request: e in logged(site, p, r)  # noqa: E731
        eventually(found, f"{process} tells of {event} by {request}")
    assert fip.address in next(line for line in site.log(agent).splitlines() if second in line)
    for operation, request in ((created, first), (attached, second)):
        shown = godwit("operation", "show", operation["id"]).out.split()
        assert {request, "site"} <= set(shown)
    (line,) = [line for line in godwit("ip", "audit", fip.address).out.splitlines() if second in line]
    assert line.split()[2:4] == ["site", "attach"]


def test_a_quota_is_granted_and_holds(customer: Customer, project: str, godwit: Godwit) -> None:
    customer.reserve("public")
    assert godwit("quota", "set", project, "ipv4", "1").code == 0
    assert [project, "ipv4", "1", "1"] in [line.split() for line in godwit("quota", "list").out.splitlines()]
    refused = godwit("ip", "reserve", role="member")
    assert (refused.code, "(ipam.quota.exceeded)" in refused.err) == (1, True)
