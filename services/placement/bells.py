"""Names of the wake-ups the controller answers to. They carry names; losing one costs a sweep period."""

from __future__ import annotations

from collections.abc import Sequence

from services.ipam.wire import ADDRESS_SET_CHANGED, POOLS_CHANGED, POOLS_QUEUE, queue_of_target

NODE = "placement.node"
RESYNC = "placement.resync"
OPERATION = "placement.operation"
REPORT = "placement.report"
ADDRESS_SET = ADDRESS_SET_CHANGED  # the ledger rings it
POOLS = POOLS_CHANGED  # the ledger rings it too
SWEEP = "placement.sweep"
NODE_WORK = "placement.node_work"
FAILOVER = "placement.failover"  # of what an edge's health checks found down
ADDRESS_FENCES = "placement.address_fences"
ARCHIVES = "placement.archives"  # that are no port's any more
CONVERSION = "placement.conversion"  # a zone's
CONVERSION_BATCH = "placement.conversion_batch"  # ports of a wave on a node

QUEUES = {
    "worker": (queue_of_target("instance"), "nodes", "operations", POOLS_QUEUE, "sweeps"),
    "migration-worker": ("conversion",),
}
"""What each process of Celery workers listens to."""
_QUEUE_OF = {
    NODE: "nodes",
    RESYNC: "nodes",
    REPORT: "nodes",
    OPERATION: "operations",
    NODE_WORK: "operations",
    FAILOVER: "operations",
    ADDRESS_FENCES: "operations",
    ARCHIVES: "operations",
    POOLS: POOLS_QUEUE,
    SWEEP: "sweeps",
    CONVERSION: "conversion",
    CONVERSION_BATCH: "conversion",
}
ALL = (*_QUEUE_OF, ADDRESS_SET)


def queue_of(name: str, names: Sequence[str]) -> str:
    """The queue a wake-up waits on; address sets have one for each kind of target."""
    return queue_of_target(names[0]) if name == ADDRESS_SET else _QUEUE_OF[name]
