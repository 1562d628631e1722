"""What the ledger tells of itself: see docs/metrics.md."""

from __future__ import annotations

from datetime import UTC, datetime

from prometheus_client import Histogram

from common.db import Database
from common.metrics import Reading, Readings, Values, of_operations
from services.ipam.model import Operation
from services.ipam.store import addresses

REALIZED_SECONDS = Histogram(
    "godwit_realized_seconds",
    "From the request of a change to the ledger's knowing that the nodes have read it back.",
    ["kind"],
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800),
)
FLEXIBLE_IPS = Reading("godwit_flexible_ips", "Flexible IPs that are not free.", ("state", "family"))
LAGGING_TARGETS = Reading("godwit_lagging_targets", "Targets whose nodes have not read back their newest addresses.")


def realized(operation: Operation) -> None:
    """Note that what `operation` changes is realised now."""
    REALIZED_SECONDS.labels(operation.kind).observe((datetime.now(UTC) - operation.created_at).total_seconds())


def readings(database: Database) -> Readings:
    def read() -> Values:
        with database.transaction() as tx:
            return {
                FLEXIBLE_IPS: addresses.counts(tx),
                LAGGING_TARGETS: {(): addresses.lagging(tx)},
                **of_operations(tx, Operation, "ipam"),
            }

    return Readings(read)
