"""Wake-ups for whoever realises addresses: a name, and the names it carries. Nothing depends on one arriving."""

from __future__ import annotations

from collections.abc import Sequence

ADDRESS_SET_CHANGED = "placement.address_set"
"""Carries (kind, id) of the target whose addresses changed."""

POOLS_CHANGED = "placement.pools"
"""Carries nothing: read the pools again."""


def queue_of(name: str, names: Sequence[str]) -> str:
    """Address sets ring on a queue for each target kind, so that each product's service takes its own."""
    if name == ADDRESS_SET_CHANGED:
        return f"targets.{names[0]}"
    return {POOLS_CHANGED: "pools"}.get(name, name)
