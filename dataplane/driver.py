"""What every driver of a kernel table promises."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Protocol, TypeVar

from dataplane.entries import Entry

E = TypeVar("E", bound=Entry)


class DriverError(Exception):
    """The kernel refused one entry; `code` is stable, the text says what it answered."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Driver(Protocol[E]):
    """One kernel table. Ours is what bears our mark; all else is neither changed nor removed.

    A driver keeps no memory of what it wrote: after a restart `observe` finds it again.
    """

    entry: type[E]

    def observe(self, keys: Iterable[Hashable] | None = None) -> dict[Hashable, E]:
        """Our rows as the kernel holds them now; with `keys`, at the cost of those rows alone.

        Keys that have no row are absent from the answer.
        """

    def put(self, entry: E) -> None:
        """Make the row of `entry.key` equal `entry`; repeating it changes nothing. Raises DriverError."""

    def drop(self, entry: E) -> None:
        """Remove the row of `entry.key`; removing what does not exist is no error. Raises DriverError."""
