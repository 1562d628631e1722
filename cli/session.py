"""What every command works with: the connection, made at its first use, and the shared options."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

import typer
from godwit_client import Connection, connect

from cli.access import Access, Source

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
