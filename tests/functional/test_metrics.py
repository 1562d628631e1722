"""What the ledger, the controller and a worker tell when they are scraped, in a story that they lived."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from celery import Celery

from common.db import Database
from services.placement import bells, metrics, tasks
from tests.functional.controller import Controller, running
from tests.functional.ledger import Ledger
from tests.unit.test_metrics import scraped, values

ATTACH = "flexible_ip.attach"


@pytest.fixture
def cloud(placement_database: str, ledger: Ledger) -> Iterator[Controller]:
    with running(placement_database, ledger) as started:
        yield started


def counted(name: str, part: str, *labels: str) -> float:
    """A count of this process, which other stories may have raised before."""
    metric = scraped().get(name)
    return values(metric, part).get(labels, 0) if metric else 0


def test_the_ledger_tells_addresses_by_state_and_how_long_a_change_took(supplied: Ledger) -> None:
    answered = counted("godwit_requests", "_total", "attachFlexibleIp", "ipam", "202")
    realized = counted("godwit_realized_seconds", "_count", ATTACH)
    target = supplied.target("red", limit_ipv4=4)
    supplied.red.reserve(family="ipv6")
    supplied.red.attach(supplied.red.reserve(), target)
    supplied.realize(target)
    supplied.red.attach(supplied.red.reserve(), target)

    told = scraped(supplied.app.state.readings)
    assert values(told["godwit_flexible_ips"]) == {
        ("ipv4", "attached"): 1,
        ("ipv4", "attaching"): 1,
        ("ipv6", "reserved"): 1,
    }
    assert values(told["godwit_lagging_targets"]) == {(): 1}
    assert values(told["godwit_operations"]) == {(ATTACH, "ipam", "succeeded"): 1, (ATTACH, "ipam", "pending"): 1}
    assert 0 < values(told["godwit_oldest_operation_seconds"])[ATTACH, "ipam"] < 60
    assert counted("godwit_realized_seconds", "_count", ATTACH) == realized + 1
    assert counted("godwit_requests", "_total", "attachFlexibleIp", "ipam", "202") == answered + 2


def test_the_apis_count_requests_and_show_nothing_of_it(cloud: Controller) -> None:
    before = counted("godwit_requests", "_total", "listNodes", "placement", "200")
    cloud.get("/nodes")
    assert counted("godwit_requests", "_total", "listNodes", "placement", "200") == before + 1
    for http in (cloud.http, cloud.ledger.http):
        assert http.get("/metrics").status_code == 404
        assert not [path for path in http.get("/openapi.json").json()["paths"] if "metrics" in path]


def test_the_controller_tells_who_is_behind_and_since_when(cloud: Controller) -> None:
    readings = metrics.readings(cloud.database, lambda queues: {queue: len(queue) for queue in queues})
    cloud.fleet["hypervisor-2"].cut = True
    body = {"name": "web", "zone": "zone-a", "flavor": "small", "hypervisor": "hypervisor-2", "allocate": ["ipv4"]}
    cloud.post("/instances", body, "operator")
    cloud.settle()

    told = scraped(readings)
    assert values(told["godwit_nodes"])["unreachable", "hypervisor", "zone-a"] == 1
    assert values(told["godwit_nodes"])["up", "edge", "zone-a"] == 1
    assert values(told["godwit_nodes_behind"]) == {("hypervisor", "zone-a"): 1}
    assert values(told["godwit_oldest_operation_seconds"])["instance.create", "placement"] > 0
    assert values(told["godwit_wake_ups_waiting"])["nodes",] == 5


def test_a_worker_counts_its_tasks_by_what_came_of_them(cloud: Controller) -> None:
    def counts() -> list[float]:
        return [counted("godwit_tasks", "_total", outcome, bells.SWEEP) for outcome in ("done", "deferred", "failed")]

    nowhere = Database("postgresql+psycopg://nobody@127.0.0.1:1/nothing", lambda *_: None)
    reconcilers = iter((cloud.reconciler, cloud.another(nowhere)))
    app = Celery("probe", broker="memory://", set_as_current=False)
    tasks.register(app, lambda: next(reconcilers))
    before, timed = counts(), counted("godwit_task_seconds", "_count", bells.SWEEP)
    app.tasks[bells.SWEEP]()
    app.tasks[bells.SWEEP]()
    with pytest.raises(StopIteration):  # as any fault of ours would
        app.tasks[bells.SWEEP]()

    assert [after - earlier for after, earlier in zip(counts(), before, strict=True)] == [1, 1, 1]
    assert counted("godwit_task_seconds", "_count", bells.SWEEP) == timed + 3
