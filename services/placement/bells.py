"""Names of the wake-ups the controller answers to. They carry names; losing one costs a sweep period."""

from __future__ import annotations

from collections.abc import Sequence

NODE = "placement.node"
RESYNC = "placement.resync"
OPERATION = "placement.operation"
REPORT = "placement.report"
ADDRESS_SET = "placement.address_set"  # the ledger rings it
POOLS = "placement.pools"  # the ledger rings it too
SWEEP = "placement.sweep"
EXPIRE = "placement.expire"

QUEUES = ("targets.instance", "nodes", "operations", "pools", "sweeps")
_QUEUE_OF = {
    NODE: "nodes",
    RESYNC: "nodes",
    REPORT: "nodes",
    OPERATION: "operations",
    POOLS: "pools",
    SWEEP: "sweeps",
    EXPIRE: "sweeps",
}


def queue_of(name: str, names: Sequence[str]) -> str:
    """The queue a wake-up waits on; address sets have one for each kind of target."""
    return f"targets.{names[0]}" if name == ADDRESS_SET else _QUEUE_OF[name]
