"""Where the ledger's wake-ups wait. Nothing depends on one arriving."""

from __future__ import annotations

from collections.abc import Sequence

from services.ipam.wire import ADDRESS_SET_CHANGED, POOLS_CHANGED, POOLS_QUEUE, queue_of_target


def queue_of(name: str, names: Sequence[str]) -> str:
    if name == ADDRESS_SET_CHANGED:
        return queue_of_target(names[0])
    return {POOLS_CHANGED: POOLS_QUEUE}[name]
