"""`godwit flavor`: the sizes that instances come in."""

from __future__ import annotations

from typing import Annotated

import typer
from godwit_client import answer, every
from godwit_client.placement import models as wire
from godwit_client.placement.api.flavors import create_flavor, delete_flavor, get_flavor, list_flavors

from cli import find
from cli.output import show_list, show_one
from cli.session import AsJson, session_of

app = typer.Typer(no_args_is_help=True, help="The sizes that instances come in.")

Name = Annotated[str, typer.Argument(help="The flavour's name.", show_default=False)]


@app.command()
def create(
    context: typer.Context,
    name: Name,
    vcpus: Annotated[int, typer.Option(help="Virtual processors.")] = 1,
    memory_mb: Annotated[int, typer.Option(help="Memory in MiB.")] = 512,
    disk_gb: Annotated[int, typer.Option(help="Disk in GiB.")] = 10,
    as_json: AsJson = False,
) -> None:
    """Create a flavour."""
    api = session_of(context).api
    body = wire.FlavorCreate(name=name, vcpus=vcpus, memory_mb=memory_mb, disk_gb=disk_gb)
    _show(answer(create_flavor.sync_detailed(client=api.placement, body=body)), as_json)


@app.command("list")
def list_(context: typer.Context, as_json: AsJson = False) -> None:
    """List the flavours."""
    api = session_of(context).api

    def page(cursor: str | None) -> wire.FlavorPage:
        return answer(list_flavors.sync_detailed(client=api.placement, cursor=cursor))

    show_list(
        every(page),
        [
            ("NAME", lambda flavor: flavor.name),
            ("VCPUS", lambda flavor: flavor.vcpus),
            ("MEMORY", lambda flavor: f"{flavor.memory_mb} MiB"),
            ("DISK", lambda flavor: f"{flavor.disk_gb} GiB"),
        ],
        as_json,
        "no flavours yet; `godwit flavor create` makes one",
    )


@app.command()
def show(context: typer.Context, name: Name, as_json: AsJson = False) -> None:
    """Show one flavour."""
    api = session_of(context).api
    _show(find.known(lambda: answer(get_flavor.sync_detailed(name, client=api.placement)), "flavor", name), as_json)


@app.command()
def delete(context: typer.Context, name: Name, as_json: AsJson = False) -> None:
    """Delete a flavour that no instance has."""
    api = session_of(context).api
    _show(find.known(lambda: answer(delete_flavor.sync_detailed(name, client=api.placement)), "flavor", name), as_json)


def _show(flavor: wire.Flavor, as_json: bool) -> None:
    fields = {
        "name": flavor.name,
        "vcpus": flavor.vcpus,
        "memory": f"{flavor.memory_mb} MiB",
        "disk": f"{flavor.disk_gb} GiB",
        "id": flavor.id,
    }
    show_one(flavor, fields, as_json)
