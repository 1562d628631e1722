"""What every command works with: the connection, made at its first use, and the shared options."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Protocol, TypeVar

import typer
from godwit_client import Connection, connect

from cli.access import Access, Source

T = TypeVar("T")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.", rich_help_panel="Output")]
Wait = Annotated[
    bool, typer.Option("--wait/--no-wait", help="Wait until it is done, or answer as soon as it is accepted.")
]
Zone = Annotated[
    str | None,
    typer.Option("--zone", envvar="GODWIT_ZONE", help="Availability zone; may be left out while there is only one."),
]


@dataclass
class Session:
    """One run of the command."""

    source: Source
    _connection: Connection | None = field(default=None, repr=False)

    def access(self) -> Access:
        return self.source.find()

    @property
    def api(self) -> Connection:
        if self._connection is None:
            access = self.access()
            self._connection = connect(access.ipam_url, access.placement_url, access.token)
        return self._connection


def session_of(context: typer.Context) -> Session:
    found = context.obj
    if not isinstance(found, Session):
        raise TypeError("the command was started without its session")
    return found


class Page(Protocol[T]):
    """A page of either generated client's lists."""

    @property
    def items(self) -> list[T]: ...
    @property
    def next_cursor(self) -> object: ...


def every(fetch: Callable[[str | None], Page[T]]) -> list[T]:
    """All items of a list, page after page."""
    found: list[T] = []
    cursor: str | None = None
    while True:
        page = fetch(cursor)
        found += page.items
        if not isinstance(page.next_cursor, str):
            return found
        cursor = page.next_cursor
