"""`godwit zone`: availability zones and how public addresses reach guests there."""

from __future__ import annotations

from typing import Annotated

import typer
from godwit_client import answer, every
from godwit_client.placement import models as wire
from godwit_client.placement.api.zones import get_zone, put_zone

from cli import find
from cli.commands import zone_convert
from cli.output import show_list, show_one
from cli.session import AsJson, session_of

app = typer.Typer(no_args_is_help=True, help="Availability zones, and how public addresses reach guests there.")
app.add_typer(zone_convert.app, name="convert")

Name = Annotated[str, typer.Argument(help="The zone's name.", show_default=False)]


@app.command("list")
def list_(context: typer.Context, as_json: AsJson = False) -> None:
    """List the zones."""
    api = session_of(context).api
    show_list(
        every(lambda cursor: find.zones_page(api, cursor)),
        [("NAME", lambda zone: zone.name), ("REGION", lambda zone: zone.region), ("STACK", lambda z: z.stack.value)],
        as_json,
        "no zones yet; `godwit zone set` makes one",
    )


@app.command()
def show(context: typer.Context, name: Name, as_json: AsJson = False) -> None:
    """Show one zone."""
    api = session_of(context).api
    found = find.known(lambda: answer(get_zone.sync_detailed(name, client=api.placement)), "zone", name)
    _show(found, as_json)


@app.command("set")
def set_(
    context: typer.Context,
    name: Name,
    region: Annotated[str, typer.Option(help="The region it belongs to.")],
    stack: Annotated[wire.Stack, typer.Option(help="nat: central NAT; routed: guests own addresses; dual: both.")],
    as_json: AsJson = False,
) -> None:
    """Make a zone, or change it. Needs the role operator."""
    api = session_of(context).api
    body = wire.ZonePut(region=region, stack=stack)
    _show(answer(put_zone.sync_detailed(name, client=api.placement, body=body)), as_json)


def _show(zone: wire.Zone, as_json: bool) -> None:
    show_one(zone, {"name": zone.name, "region": zone.region, "stack": zone.stack.value}, as_json)
