"""What an agent tells of its node: see docs/metrics.md."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import Counter, Histogram

from common.metrics import SHORT, Reading, Readings, Values
from services.netagent.wire import Observed, Realized

RECONCILE_SECONDS = Histogram(
    "godwit_reconcile_seconds",
    "How long the agent took to apply an order, to verify the whole, or to repair it; waits for one another included.",
    ["what"],
    buckets=SHORT,
)
ORDERS_REFUSED = Counter(
    "godwit_orders_refused", "Snapshots and deltas not taken, such as those of an older generation."
)
PACKETS = Reading("godwit_packets", "Packets, by what became of them.", ("verdict",), "counter")
GENERATION = Reading("godwit_generation", "Generation that the kernel was last read back against.")
ENTRIES_FAILED = Reading(
    "godwit_entries_failed", "Entries that the kernel was not read back to hold, by why.", ("code",)
)


def readings(realized: Callable[[], Realized], seen: Callable[[], Observed]) -> Readings:
    def read() -> Values:
        held = realized()
        failed: dict[tuple[str, ...], float] = {}
        for failure in held.failed:
            failed[failure.code,] = failed.get((failure.code,), 0) + 1
        return {
            GENERATION: {(): held.generation},
            ENTRIES_FAILED: failed,
            PACKETS: {(verdict,): count for verdict, count in seen().packets.items()},
        }

    return Readings(read)
