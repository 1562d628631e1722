"""What the controller tells of its fleet, by one process: the poller. See docs/metrics.md."""

from __future__ import annotations

from collections.abc import Callable

from common.db import Database
from common.metrics import Reading, Readings, Values, of_operations
from services.placement import bells
from services.placement.model import Operation
from services.placement.store import instances, nodes

NODES = Reading("godwit_nodes", "Nodes, by whether their agents answer.", ("zone", "role", "condition"))
NODES_BEHIND = Reading("godwit_nodes_behind", "Nodes that have not confirmed what they are to hold.", ("zone", "role"))
PORTS_UNREPORTED = Reading("godwit_ports_unreported", "Ports whose addresses are not yet reported as realised.")
WAKE_UPS_WAITING = Reading("godwit_wake_ups_waiting", "Wake-ups in a queue of the broker.", ("queue",))


def readings(database: Database, waiting: Callable[[list[str]], dict[str, int]]) -> Readings:
    """`waiting` tells how many wake-ups wait in each queue, as `common.tasks.waiting` does."""

    def read() -> Values:
        waits = waiting([queue for of_role in bells.QUEUES.values() for queue in of_role])
        with database.transaction() as tx:
            return {
                WAKE_UPS_WAITING: {(queue,): count for queue, count in waits.items()},
                NODES: nodes.by_condition(tx),
                NODES_BEHIND: nodes.behind(tx),
                PORTS_UNREPORTED: {(): float(len(instances.unreported(tx)))},
                **of_operations(tx, Operation, "placement"),
            }

    return Readings(read)
