"""What a process tells of itself, in Prometheus's text form, on an address of its own: no public API has any of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal
from wsgiref.simple_server import WSGIServer

import structlog
from prometheus_client import (
    REGISTRY,
    CollectorRegistry,
    Counter,
    Histogram,
    disable_created_metrics,
    start_http_server,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import func, select

from common.db import Transaction
from common.errors import DomainError
from common.operations import OperationState
from common.tables import OperationColumns

log = structlog.get_logger()

SHORT = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
"""Upper bounds of what takes milliseconds when all is well, in seconds."""

REQUESTS = Counter(
    "godwit_requests", "Requests answered, by the API's operation and status.", ["service", "operation", "status"]
)
REQUEST_SECONDS = Histogram(
    "godwit_request_seconds", "From a request to its answer's first byte.", ["service", "operation"], buckets=SHORT
)
TASKS = Counter("godwit_tasks", "Wake-ups taken, by what came of them.", ["task", "outcome"])
TASK_SECONDS = Histogram("godwit_task_seconds", "How long a wake-up was worked on.", ["task"], buckets=SHORT)


@dataclass(frozen=True)
class Reading:
    """What is not counted as it happens, but read when it is asked for. `text` explains it to whoever scrapes."""

    name: str
    text: str
    labels: tuple[str, ...] = ()
    type: Literal["gauge", "counter"] = "gauge"


Values = Mapping[Reading, Mapping[tuple[str, ...], float]]
"""By reading, by its labels' values."""

READINGS_UP = Reading("godwit_readings_up", "1: what is read at each scrape could be read.")
OPERATIONS = Reading("godwit_operations", "Operations.", ("service", "kind", "state"))
OLDEST_OPERATION = Reading(
    "godwit_oldest_operation_seconds", "Age of the oldest that is not over.", ("service", "kind")
)


class Readings(Collector):
    """Reads at each scrape. What cannot be read is left out and `godwit_readings_up` is 0; the rest is told."""

    def __init__(self, read: Callable[[], Values]) -> None:
        """`read` may raise DomainError or OSError."""
        self._read = read

    def collect(self) -> Iterable[Metric]:
        values: Values = {}
        up = True
        try:
            values = self._read()
        except (DomainError, OSError) as error:
            up = False
            log.warning("metrics.unread", error=str(error))
        told: Values = {READINGS_UP: {(): float(up)}, **values}
        for reading, samples in told.items():
            family = GaugeMetricFamily if reading.type == "gauge" else CounterMetricFamily
            metric = family(reading.name, reading.text, labels=reading.labels)
            for labels, value in samples.items():
                metric.add_metric(labels, value)
            yield metric


def listen(address: str | None, *collectors: Collector) -> WSGIServer | None:
    """Tell everything this process counts, and what `collectors` read, on `tcp:HOST:PORT`. None: nowhere.

    Raises OSError.
    """
    if address is None:
        return None
    host, _, port = address.removeprefix("tcp:").rpartition(":")
    disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each: when it began
    registry = CollectorRegistry()
    for collector in (REGISTRY, *collectors):
        registry.register(collector)
    server, _ = start_http_server(int(port), host, registry)
    return server


@contextmanager
def task(name: str, deferred: type[Exception]) -> Iterator[None]:
    """Count a wake-up's work: `done`, `deferred` if it ends in that exception, `failed` in any other."""
    outcome = "failed"
    try:
        with TASK_SECONDS.labels(name).time():
            yield
        outcome = "done"
    except deferred:
        outcome = "deferred"
        raise
    finally:
        TASKS.labels(name, outcome).inc()


def of_operations(tx: Transaction, table: type[OperationColumns], service: str) -> Values:
    """How many operations are in which state, and since when the oldest of each kind is not over."""
    age = func.extract("epoch", func.clock_timestamp() - func.min(table.created_at))
    query = select(table.kind, table.state, func.count(), age).group_by(table.kind, table.state)
    count: dict[tuple[str, ...], float] = {}
    oldest: dict[tuple[str, ...], float] = {}
    for kind, state, number, seconds in tx.session.execute(query):
        count[service, kind, state] = number
        if not OperationState(state).final:
            oldest[service, kind] = max(oldest.get((service, kind), 0.0), float(seconds))
    return {OPERATIONS: count, OLDEST_OPERATION: oldest}
