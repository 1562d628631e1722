"""What every command works with: the connection, made at its first use, and the shared options."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Protocol, TypeVar

import typer
from godwit_client import Connection, answer, connect
from godwit_client.problems import Response

from cli.access import Access, Source

T = TypeVar("T")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.", rich_help_panel="Output")]
Wait = Annotated[
    bool, typer.Option("--wait/--no-wait", help="Wait until it is done, or answer as soon as it is accepted.")
]
ValidateOnly = Annotated[bool, typer.Option("--validate-only", help="Say what would be done, and do nothing.")]
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


def answer_of(response: Response[Any], read: Callable[[Mapping[str, Any]], T]) -> T:
    """What was answered, also where that is what would be answered (`validate_only`). Raises Refused."""
    made: T = read(json.loads(response.content)) if response.status_code == 200 else answer(response)
    return made


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
