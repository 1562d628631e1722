"""`godwit node`: the machines of a cloud; `godwit hypervisor` is the same for those that instances run on."""

from __future__ import annotations

from typing import Annotated

import typer
from godwit_client import Connection, answer, every
from godwit_client.placement import models as wire
from godwit_client.placement.api.nodes import (
    approve_withdrawal,
    drain_node,
    evacuate_node,
    fence_node,
    list_nodes,
    undrain_node,
    unfence_node,
    update_node,
)

from cli import find, waiting
from cli.output import show_list, show_one
from cli.session import AsJson, Wait, session_of

Node = Annotated[str, typer.Argument(help="Name or id.", show_default=False)]


def group(role: wire.NodeRole | None, what: str) -> typer.Typer:
    """The commands for the nodes of one role; for all, if it is None."""
    app = typer.Typer(no_args_is_help=True, help=f"{what} Needs the role operator.")

    @app.command("list")
    def list_(
        context: typer.Context,
        zone: Annotated[str | None, typer.Option(help="Only this zone's.")] = None,
        as_json: AsJson = False,
    ) -> None:
        """List them: health, load, and whether they are up to date."""
        api = session_of(context).api

        def page(cursor: str | None) -> wire.NodePage:
            return answer(list_nodes.sync_detailed(client=api.placement, cursor=cursor, zone=zone, role=role))

        show_list(
            every(page),
            [
                ("NAME", lambda node: node.name),
                *([] if role else [("ROLE", lambda node: node.role.value)]),
                ("CONDITION", lambda node: node.condition.value),
                ("FABRIC", lambda node: node.fabric.value if node.fabric else None),
                ("FENCED", _fenced),
                ("STATE", lambda node: node.admin_state.value),
                ("INSTANCES", lambda node: node.instances),
                ("IN USE", lambda node: usage(node, ", ")),
                ("REALISED", lambda node: f"{node.applied_generation} of {node.generation}"),
                ("ZONE", lambda node: node.zone),
            ],
            as_json,
            "none yet; `godwit cloud up` registers those it starts",
        )

    @app.command()
    def show(context: typer.Context, node: Node, as_json: AsJson = False) -> None:
        """Show one."""
        _show(find.node(session_of(context).api, node, role), as_json)

    @app.command()
    def enable(context: typer.Context, node: Node, as_json: AsJson = False) -> None:
        """Let new instances start there again."""
        _set(session_of(context).api, node, role, wire.AdminState.ENABLED, as_json)

    @app.command()
    def disable(context: typer.Context, node: Node, as_json: AsJson = False) -> None:
        """Start nothing new there. What runs there stays."""
        _set(session_of(context).api, node, role, wire.AdminState.DISABLED, as_json)

    @app.command()
    def fence(
        context: typer.Context,
        node: Node,
        evidence: Annotated[wire.EvidenceKind, typer.Option(help="Why it is certain that nothing runs there.")],
        ref: Annotated[str, typer.Option(help="Where that can be looked up: a ticket, a power controller's answer.")],
        wait: Wait = True,
        as_json: AsJson = False,
    ) -> None:
        """Have the edges hold a dead node apart. On a local cloud, `godwit cloud fence` also switches it off."""
        api = session_of(context).api
        body = wire.NodeFence(evidence=wire.Evidence(kind=evidence, ref=ref))
        found = find.node(api, node, role)
        asked = answer(fence_node.sync_detailed(found.id, client=api.placement, body=body))
        _follow(api, asked, found, wait, as_json)

    @app.command()
    def unfence(context: typer.Context, node: Node, wait: Wait = True, as_json: AsJson = False) -> None:
        """Let a node in again, once it has withdrawn what is no longer its."""
        api = session_of(context).api
        found = find.node(api, node, role)
        _follow(api, answer(unfence_node.sync_detailed(found.id, client=api.placement)), found, wait, as_json)

    @app.command()
    def evacuate(context: typer.Context, node: Node, wait: Wait = True, as_json: AsJson = False) -> None:
        """Start everything that a fenced node ran elsewhere, every address kept."""
        api = session_of(context).api
        found = find.node(api, node, role)
        _follow(api, answer(evacuate_node.sync_detailed(found.id, client=api.placement)), found, wait, as_json)

    @app.command()
    def drain(
        context: typer.Context,
        node: Node,
        concurrency: Annotated[int, typer.Option(min=1, max=64, help="Moves at a time.")] = 4,
        wait: Wait = True,
        as_json: AsJson = False,
    ) -> None:
        """Move every running instance elsewhere. `godwit operation pause|resume|cancel` works on it."""
        api = session_of(context).api
        found = find.node(api, node, role)
        body = wire.NodeDrain(concurrency=concurrency)
        asked = answer(drain_node.sync_detailed(found.id, client=api.placement, body=body))
        _follow(api, asked, found, wait, as_json)

    @app.command()
    def undrain(context: typer.Context, node: Node, as_json: AsJson = False) -> None:
        """Let it take instances again; a drain that goes on ends here."""
        api = session_of(context).api
        found = find.node(api, node, role)
        _show(answer(undrain_node.sync_detailed(found.id, client=api.placement)), as_json)

    _add_approve(app, role)
    return app


def _add_approve(app: typer.Typer, role: wire.NodeRole | None) -> None:
    @app.command()
    def approve(
        context: typer.Context,
        node: Node,
        digest: Annotated[str, typer.Argument(help="Of what is held back, as `show` names it.", show_default=False)],
        as_json: AsJson = False,
    ) -> None:
        """Let go what a withdraw budget holds back: just that, and nothing that came since."""
        api = session_of(context).api
        found = find.node(api, node, role)
        body = wire.NodeApprove(digest=digest)
        answer(approve_withdrawal.sync_detailed(found.id, client=api.placement, body=body))
        _show(find.node(api, str(found.id), None), as_json)


app = group(None, "The machines of a cloud: edges, gateways, hypervisors.")


def _set(api: Connection, text: str, role: wire.NodeRole | None, state: wire.AdminState, as_json: bool) -> None:
    found = find.node(api, text, role)
    body = wire.NodeUpdate(admin_state=state)
    _show(answer(update_node.sync_detailed(found.id, client=api.placement, body=body)), as_json)


def _follow(api: Connection, operation: wire.Operation, node: wire.Node, wait: bool, as_json: bool) -> None:
    if wait:
        waiting.wait(api, operation)
        _show(find.node(api, str(node.id), None), as_json)
    else:
        show_one(operation, {"operation": operation.id, "node": node.name}, as_json)


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


def _fenced(node: wire.Node) -> str | None:
    if node.fenced:
        return "fenced"
    return "being fenced" if isinstance(node.fence, wire.Fence) else None


def _show(node: wire.Node, as_json: bool) -> None:
    evidence = node.fence if isinstance(node.fence, wire.Fence) else None
    fields = {
        "name": node.name,
        "role": node.role.value,
        "condition": node.condition.value,
        "fabric": node.fabric.value if node.fabric else None,
        "fenced": _fenced(node),
        "evidence": f"{evidence.kind.value} {evidence.ref}, by {evidence.by} at {evidence.at}" if evidence else None,
        "state": node.admin_state.value,
        "operation": node.operation,
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
