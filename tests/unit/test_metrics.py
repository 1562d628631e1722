"""What is told on a metrics address: names as documented, labels that no caller chooses, nothing unless asked for."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from urllib.request import urlopen

import pytest
from fastapi import APIRouter
from fastapi.testclient import TestClient
from prometheus_client.core import Metric
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.parser import text_string_to_metric_families
from pydantic import ValidationError

import common.metrics
import services.ipam.metrics
import services.netagent.metrics
import services.placement.metrics
from cloud import processes
from cloud.plan import Plan
from common.errors import Unavailable
from common.metrics import Reading, Readings, Values, listen
from common.web import create_app
from services.ipam.settings import Settings
from services.netagent.wire import Failure, Observed, Realized

MODULES = (common.metrics, services.ipam.metrics, services.netagent.metrics, services.placement.metrics)
ROOM = Reading("godwit_room", "A test's.", ("of",))


def scraped(*readings: Readings) -> dict[str, Metric]:
    server = listen("tcp:127.0.0.1:0", *readings)
    assert server is not None
    with urlopen(f"http://127.0.0.1:{server.server_port}/metrics") as answer:
        text = answer.read().decode()
    server.shutdown()
    server.server_close()
    return {metric.name: metric for metric in text_string_to_metric_families(text)}


def values(metric: Metric, part: str = "") -> dict[tuple[str, ...], float]:
    """By the labels' values, in their names' alphabetical order; of a histogram, its `_count` for example."""
    samples = [sample for sample in metric.samples if sample.name.endswith(part)]
    return {tuple(value for _, value in sorted(sample.labels.items())): sample.value for sample in samples}


def declared() -> Iterable[tuple[str, str, tuple[str, ...]]]:
    for module in MODULES:
        for each in vars(module).values():
            if isinstance(each, Reading):
                yield each.name, each.type, each.labels
            elif isinstance(each, MetricWrapperBase):
                metric = next(iter(each.collect()))
                yield metric.name, metric.type, each._labelnames


def test_every_metric_is_in_the_manual_and_nothing_else() -> None:
    manual = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text()
    rows = re.findall(r"^\| `(godwit_\w+)` \| (\w+) \| ([\w, -]+) \|", manual, re.MULTILINE)
    expected = {
        (f"{name}_total" if kind == "counter" else name, kind, ", ".join(labels) or "-")
        for name, kind, labels in declared()
    }
    assert set(rows) == expected
    assert len(rows) == len(expected)


def test_a_caller_makes_no_label_values() -> None:
    router = APIRouter()
    router.get("/things/{name}", operation_id="getThing")(lambda name: name)
    app = create_app("Godwit probe", [router])
    http = TestClient(app)
    for name in ("a", "b", "c"):
        http.get(f"/things/{name}")
        http.get(f"/nothing/{name}")
        http.request(name.upper(), "/openapi.json")
    http.get("/things/a", params={"unknown": "1"})
    counted = {labels: value for labels, value in values(scraped()["godwit_requests"]).items() if "probe" in labels}
    assert not [name for name in scraped() if name.endswith("_created")]
    assert counted == {
        ("getThing", "probe", "200"): 3,
        ("getThing", "probe", "422"): 1,
        ("none", "probe", "404"): 3,
        ("none", "probe", "405"): 3,
    }
    assert http.get("/metrics").status_code == 404


def test_what_cannot_be_read_keeps_nothing_else_from_being_told() -> None:
    def read() -> Values:
        raise Unavailable("the database does not answer")

    told = scraped(Readings(read))
    assert values(told["godwit_readings_up"]) == {(): 0}
    assert "godwit_requests" in told

    told = scraped(Readings(lambda: {ROOM: {("links",): 7}}))
    assert values(told["godwit_readings_up"]) == {(): 1}
    assert values(told["godwit_room"]) == {("links",): 7}


def test_an_agent_tells_of_its_node() -> None:
    failed = [Failure(kind="leg", key=key, code="agent.entry.kernel", message="refused") for key in ("00", "01")]
    realized = Realized(epoch=1, generation=9, digest={}, failed=failed)
    seen = Observed(reverse_path={}, packets={"passed": 5, "dropped_not_its_address": 0})
    told = scraped(services.netagent.metrics.readings(lambda: realized, lambda: seen))
    assert values(told["godwit_generation"]) == {(): 9}
    assert values(told["godwit_entries_failed"]) == {("agent.entry.kernel",): 2}
    assert values(told["godwit_packets"]) == {("passed",): 5, ("dropped_not_its_address",): 0}


def test_nothing_listens_unless_it_is_told_where() -> None:
    assert listen(None) is None
    with pytest.raises(ValidationError, match="metrics"):
        Settings(database_url="", broker_url="", issuer_keys=Path(), metrics="unix:/run/metrics")


def test_each_process_of_a_local_cloud_has_a_metrics_address_of_its_own() -> None:
    plan = Plan("demo", more_zones=((2, 1),))
    urls = processes.metrics(plan)
    assert set(urls) == {*processes.CONTROL, *map(processes.agent_name, plan.nodes)} - {"beat"}
    assert len(set(urls.values())) == len(urls)
