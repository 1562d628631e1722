"""`godwit hypervisor`: the machines that instances run on."""

from __future__ import annotations

from typing import Annotated

import typer
from godwit_client import answer
from godwit_client.placement import models as wire
from godwit_client.placement.api.nodes import list_nodes, update_node

from cli import find
from cli.output import show_list, show_one
from cli.session import AsJson, every, session_of

app = typer.Typer(no_args_is_help=True, help="The machines that instances run on. Needs the role operator.")

Hypervisor = Annotated[str, typer.Argument(help="Name or id.", show_default=False)]


@app.command("list")
def list_(
    context: typer.Context,
    zone: Annotated[str | None, typer.Option(help="Only this zone's.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the hypervisors: health, load, and whether they are up to date."""
    api = session_of(context).api

    def page(cursor: str | None) -> wire.NodePage:
        role = wire.NodeRole.HYPERVISOR
        return answer(list_nodes.sync_detailed(client=api.placement, cursor=cursor, zone=zone, role=role))

    show_list(
        every(page),
        [
            ("NAME", lambda node: node.name),
            ("CONDITION", lambda node: node.condition.value),
            ("SCHEDULING", lambda node: node.admin_state.value),
            ("INSTANCES", lambda node: node.instances),
            ("IN USE", lambda node: usage(node, ", ")),
            ("REALISED", lambda node: f"{node.applied_generation} of {node.generation}"),
            ("ZONE", lambda node: node.zone),
        ],
        as_json,
        "no hypervisors yet; `godwit cloud up` registers those it starts",
    )


@app.command()
def show(context: typer.Context, hypervisor: Hypervisor, as_json: AsJson = False) -> None:
    """Show one hypervisor."""
    _show(find.hypervisor(session_of(context).api, hypervisor), as_json)


@app.command()
def enable(context: typer.Context, hypervisor: Hypervisor, as_json: AsJson = False) -> None:
    """Let new instances start there again."""
    _set(context, hypervisor, wire.AdminState.ENABLED, as_json)


@app.command()
def disable(context: typer.Context, hypervisor: Hypervisor, as_json: AsJson = False) -> None:
    """Start nothing new there. What runs there stays."""
    _set(context, hypervisor, wire.AdminState.DISABLED, as_json)


def _set(context: typer.Context, hypervisor: str, state: wire.AdminState, as_json: bool) -> None:
    api = session_of(context).api
    found = find.hypervisor(api, hypervisor)
    body = wire.NodeUpdate(admin_state=state)
    _show(answer(update_node.sync_detailed(found.id, client=api.placement, body=body)), as_json)


def usage(node: wire.Node, between: str) -> str:
    """What is in use of each resource class, of how much may be: `VCPU 3/16`."""
    used = node.used.additional_properties
    parts = []
    for inventory in node.inventories:
        reserved = inventory.reserved if isinstance(inventory.reserved, int) else 0
        ratio = inventory.allocation_ratio if isinstance(inventory.allocation_ratio, float | int) else 1.0
        capacity = int((inventory.total - reserved) * ratio)
        parts.append(f"{inventory.resource_class} {used.get(inventory.resource_class, 0)}/{capacity}")
    return between.join(parts)


def _show(node: wire.Node, as_json: bool) -> None:
    fields = {
        "name": node.name,
        "condition": node.condition.value,
        "scheduling": node.admin_state.value,
        "instances": node.instances,
        "in use": usage(node, "\n"),
        "realised": f"generation {node.applied_generation} of {node.generation}",
        "failures": node.failures if isinstance(node.failures, list) else None,
        "last seen": node.seen_at or None,
        "fabric address": node.endpoint,
        "own prefixes": [prefix for prefix in (node.private_prefix, node.legacy_prefix) if prefix],
        "agent": node.agent_url,
        "zone": node.zone,
        "id": node.id,
    }
    show_one(node, fields, as_json)
