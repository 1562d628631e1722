"""The difference between what a table should hold and what it holds. Pure."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

E = TypeVar("E")


@dataclass(frozen=True, slots=True)
class Difference(Generic[E]):
    """Rows to put (missing or different) and rows to drop (ours, but not wanted)."""

    put: list[E]
    drop: list[E]

    def __bool__(self) -> bool:
        return bool(self.put or self.drop)


def difference(wanted: Mapping[Hashable, E], observed: Mapping[Hashable, E]) -> Difference[E]:
    return Difference(
        put=[entry for key, entry in wanted.items() if observed.get(key) != entry],
        drop=[entry for key, entry in observed.items() if key not in wanted],
    )
