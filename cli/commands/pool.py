"""`godwit pool`: the supply that addresses are reserved from."""

from __future__ import annotations

from typing import Annotated

import typer
from godwit_client import answer, every
from godwit_client.ipam import models as wire
from godwit_client.ipam.api.pools import add_prefix, create_pool, delete_prefix, get_pool, list_pools, update_pool

from cli import find
from cli.output import show_list, show_one
from cli.problems import NotFound
from cli.session import AsJson, Zone, session_of

app = typer.Typer(no_args_is_help=True, help="Pools of addresses and the prefixes they consist of.")

Pool = Annotated[str, typer.Argument(help="The pool's name or id.", show_default=False)]


@app.command()
def create(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Small letters, digits and hyphens.")],
    prefix: Annotated[list[str] | None, typer.Option(help="A first prefix; may be given several times.")] = None,
    zone: Zone = None,
    family: Annotated[wire.Family, typer.Option(help="Which addresses it holds.")] = wire.Family.IPV4,
    prefix_length: Annotated[
        int | None, typer.Option(help="Length of what a reservation gets. Default: 32, or 64 for IPv6.")
    ] = None,
    quarantine_seconds: Annotated[int, typer.Option(help="How long a released address rests before reuse.")] = 300,
    as_json: AsJson = False,
) -> None:
    """Create a pool in a zone."""
    api = session_of(context).api
    body = wire.PoolCreate(
        name=name,
        zone=find.zone_name(api, zone),
        family=family,
        prefix_length=prefix_length,
        quarantine_seconds=quarantine_seconds,
    )
    made = answer(create_pool.sync_detailed(client=api.ipam, body=body))
    for cidr in prefix or []:
        answer(add_prefix.sync_detailed(made.id, client=api.ipam, body=wire.PrefixCreate(cidr=cidr)))
    _show(answer(get_pool.sync_detailed(made.id, client=api.ipam)), as_json)


@app.command("list")
def list_(context: typer.Context, as_json: AsJson = False) -> None:
    """List the pools."""
    api = session_of(context).api

    def page(cursor: str | None) -> wire.PoolPage:
        return answer(list_pools.sync_detailed(client=api.ipam, cursor=cursor))

    show_list(
        every(page),
        [
            ("NAME", lambda pool: pool.name),
            ("ZONE", lambda pool: pool.zone),
            ("FAMILY", lambda pool: pool.family.value),
            ("PREFIXES", lambda pool: [prefix.cidr for prefix in pool.prefixes]),
            ("QUARANTINE", lambda pool: f"{pool.quarantine_seconds} s"),
        ],
        as_json,
        "no pools yet; `godwit pool create` makes one",
    )


@app.command()
def show(context: typer.Context, pool: Pool, as_json: AsJson = False) -> None:
    """Show one pool."""
    _show(find.pool(session_of(context).api, pool), as_json)


@app.command()
def update(
    context: typer.Context,
    pool: Pool,
    quarantine_seconds: Annotated[int, typer.Option(help="How long a released address rests before reuse.")],
    as_json: AsJson = False,
) -> None:
    """Change how long released addresses rest."""
    api = session_of(context).api
    body = wire.PoolUpdate(quarantine_seconds=quarantine_seconds)
    _show(answer(update_pool.sync_detailed(find.pool(api, pool).id, client=api.ipam, body=body)), as_json)


@app.command("add-prefix")
def add(
    context: typer.Context,
    pool: Pool,
    cidr: Annotated[str, typer.Argument(help="For example 198.18.16.0/22.", show_default=False)],
    as_json: AsJson = False,
) -> None:
    """Add a prefix to a pool. It may overlap no other."""
    api = session_of(context).api
    found = find.pool(api, pool)
    answer(add_prefix.sync_detailed(found.id, client=api.ipam, body=wire.PrefixCreate(cidr=cidr)))
    _show(answer(get_pool.sync_detailed(found.id, client=api.ipam)), as_json)


@app.command("remove-prefix")
def remove(
    context: typer.Context,
    pool: Pool,
    cidr: Annotated[str, typer.Argument(help="A prefix of the pool.", show_default=False)],
    as_json: AsJson = False,
) -> None:
    """Take a prefix out of a pool. None of its addresses may be reserved."""
    api = session_of(context).api
    found = find.pool(api, pool)
    ids = [prefix.id for prefix in found.prefixes if prefix.cidr == cidr]
    if not ids:
        raise NotFound("prefix", cidr, f" in pool {found.name}")
    answer(delete_prefix.sync_detailed(found.id, ids[0], client=api.ipam))
    _show(answer(get_pool.sync_detailed(found.id, client=api.ipam)), as_json)


def _show(pool: wire.Pool, as_json: bool) -> None:
    fields = {
        "name": pool.name,
        "zone": pool.zone,
        "family": pool.family.value,
        "prefixes": [prefix.cidr for prefix in pool.prefixes],
        "reserved as": f"/{pool.prefix_length}",
        "quarantine": f"{pool.quarantine_seconds} s",
        "id": pool.id,
    }
    show_one(pool, fields, as_json)
