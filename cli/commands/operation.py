"""`godwit operation`: long-running changes, of both services."""

from __future__ import annotations

from typing import Annotated

import typer
from godwit_client import Connection, Operation, answer
from godwit_client.ipam import models as ipam
from godwit_client.ipam.api.operations import list_operations as list_ipam
from godwit_client.placement import models as placement
from godwit_client.placement.api.operations import (
    cancel_operation,
    list_operations as list_placement,
    pause_operation,
    resume_operation,
)

from cli import waiting
from cli.output import cell, show_list, show_one
from cli.session import AsJson, session_of

app = typer.Typer(no_args_is_help=True, help="Long-running changes: what they do, and what they wait for.")

Id = Annotated[str, typer.Argument(help="As printed by --no-wait.", show_default=False)]


@app.command("list")
def list_(
    context: typer.Context,
    state: Annotated[ipam.OperationState | None, typer.Option(help="Only in this state.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=500, help="How many of the newest.")] = 20,
    as_json: AsJson = False,
) -> None:
    """List the newest operations."""
    api = session_of(context).api
    show_list(
        newest(api, state, limit),
        [
            ("ID", lambda operation: operation.id),
            ("KIND", lambda operation: operation.kind),
            ("STATE", lambda operation: operation.state.value),
            ("RESOURCE", lambda operation: operation.resource.removeprefix("/")),
            ("WAITS FOR, OR WHY NOT", _remark),
            ("BY", lambda operation: operation.actor),
            ("STARTED", lambda operation: operation.created_at),
        ],
        as_json,
        "no operations yet",
    )


def newest(api: Connection, state: ipam.OperationState | None, limit: int) -> list[Operation]:
    """The newest of both services together."""
    theirs = placement.OperationState(state.value) if state else None
    one = answer(list_ipam.sync_detailed(client=api.ipam, state=state, limit=limit)).items
    other = answer(list_placement.sync_detailed(client=api.placement, state=theirs, limit=limit)).items
    found: list[Operation] = [*one, *other]
    return sorted(found, key=lambda operation: operation.created_at, reverse=True)[:limit]


@app.command()
def show(context: typer.Context, operation: Id, as_json: AsJson = False) -> None:
    """Show one operation and its steps."""
    _show(waiting.get(session_of(context).api, operation), as_json)


@app.command()
def watch(context: typer.Context, operation: Id, as_json: AsJson = False) -> None:
    """Wait until an operation is done. Exit code 3 if it does not succeed."""
    api = session_of(context).api
    found = waiting.get(api, operation)
    _show(waiting.wait(api, found), as_json)


@app.command()
def cancel(context: typer.Context, operation: Id, as_json: AsJson = False) -> None:
    """End one before its point of no return."""
    api = session_of(context).api
    _show(answer(cancel_operation.sync_detailed(operation, client=api.placement)), as_json)


@app.command()
def pause(context: typer.Context, operation: Id, as_json: AsJson = False) -> None:
    """Begin no more of a drain's moves."""
    api = session_of(context).api
    _show(answer(pause_operation.sync_detailed(operation, client=api.placement)), as_json)


@app.command()
def resume(context: typer.Context, operation: Id, as_json: AsJson = False) -> None:
    """Go on with a paused drain."""
    api = session_of(context).api
    _show(answer(resume_operation.sync_detailed(operation, client=api.placement)), as_json)


def _remark(operation: Operation) -> str | None:
    if operation.waiting_for:
        return operation.waiting_for.text
    if operation.error:
        return f"{operation.error.message} ({operation.error.code})"
    return None


def _show(operation: Operation, as_json: bool) -> None:
    fields: dict[str, object] = {
        "id": operation.id,
        "kind": operation.kind,
        "state": operation.state.value,
        "resource": operation.resource,
        "project": operation.project,
        "steps": [f"{step.at.astimezone():%H:%M:%S.%f} {step.name}" for step in operation.steps],
    }
    if operation.waiting_for:
        fields["waits for"] = operation.waiting_for.text
        fields["way out"] = operation.waiting_for.unblock
    if operation.error:
        fields["error"] = f"{operation.error.message} ({operation.error.code})"
    if operation.result:
        fields["result"] = [f"{name}: {cell(value)}" for name, value in operation.result.to_dict().items()]
    fields["started"] = operation.created_at
    fields["by"] = operation.actor
    fields["request"] = operation.request_id
    show_one(operation, fields, as_json)
