"""Lists, page after page."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol, TypeVar

T = TypeVar("T")


class Page(Protocol[T]):
    """A page of either generated client's lists."""

    @property
    def items(self) -> list[T]: ...
    @property
    def next_cursor(self) -> str | None: ...


def every(fetch: Callable[[str | None], Page[T]]) -> Iterator[T]:
    """All items of a list; a page is asked for when it is needed.

    every(lambda cursor: answer(list_flexible_ips.sync_detailed(client=cloud.ipam, cursor=cursor)))
    """
    cursor: str | None = None
    while True:
        page = fetch(cursor)
        yield from page.items
        cursor = page.next_cursor
        if cursor is None:
            return
