"""`godwit backup` and `godwit restore`: both services' databases, in one file."""

from __future__ import annotations

import time
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer
from godwit_client import Connection, answer
from godwit_client.placement.api.operations import list_operations

from cli import find
from cli.output import Progress, print_json, print_table, show_fields
from cli.problems import Usage
from cli.session import AsJson, session_of

MET_WITHIN_S = 30.0
MEETING = "node.meet"


def backup(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="A file that is not there yet, or a folder.", show_default=False)],
    as_json: AsJson = False,
) -> None:
    """Back up both databases into one file, while everything runs.

    The databases are those of GODWIT_IPAM_DATABASE_URL and GODWIT_PLACEMENT_DATABASE_URL, or of the local cloud.
    """
    from backup import work  # loading it takes longer than most commands take

    databases = session_of(context).source.databases()
    progress = Progress()
    try:
        made, manifest = work.take(databases.urls, file, progress.say)
    finally:
        progress.done()
    if as_json:
        print_json({"file": str(made), **manifest.model_dump(mode="json")})
        return
    sizes = {service: dump.size_bytes for service, dump in manifest.databases.items()}
    show_fields({"file": made, "made": manifest.made_at, "epoch": manifest.epoch, **sizes})


def restore(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="What `godwit backup` made.", show_default=False)],
    replace: Annotated[bool, typer.Option("--replace", help="Drop what the databases hold now.")] = False,
    stop: Annotated[
        bool, typer.Option("--stop", help="On a local cloud: stop the services, and start them again afterwards.")
    ] = False,
) -> None:
    """Put both databases back to what they were, all of it or nothing, while no service runs. Packets flow on.

    Nodes are then asked what they hold. What that is beside what was restored is said, and of it no more is
    withdrawn than a withdraw budget allows.
    """
    from backup import work

    session = session_of(context)
    databases = session.source.databases()
    if stop and databases.stopped is None:
        raise Usage("--stop is for a cloud of this machine; stop the services as they were started", "restore.stop")
    progress = Progress()
    try:
        with databases.stopped() if stop and databases.stopped else nullcontext():
            restored = work.restore(databases.urls, file, progress.say, replace=replace)
        progress.say("nodes are asked what they hold")
        silent = _wait_met(session.api) if stop else None
    finally:
        progress.done()
    show_fields({"restored": restored.made_at, "epoch": restored.epoch, "not heard": silent})
    if stop:
        _show_meetings(session.api, restored.epoch)
    else:
        print(f"start the services; `godwit operation list` then shows as {MEETING} what nodes hold beside it")


def _wait_met(api: Connection) -> list[str]:
    """Until every node was asked, or has not been heard in time; the names of those."""
    ends = time.monotonic() + MET_WITHIN_S
    while left := [node.name for node in find.nodes(api) if not node.applied_generation]:
        if time.monotonic() > ends:
            return left
        time.sleep(0.2)
    return []


def _show_meetings(api: Connection, since: int) -> None:
    """What nodes hold that the restored database has elsewhere, or nowhere: what happened after the backup."""
    names = {str(node.id): node.name for node in find.nodes(api)}
    found = answer(list_operations.sync_detailed(client=api.placement, limit=500)).items
    rows = [
        [names.get(operation.resource.rpartition("/")[2]), what, entry]
        for operation in found
        if operation.kind == MEETING and operation.created_at.timestamp() >= since - 1 and operation.result
        for what, entries in operation.result.to_dict().items()
        for entry in entries
    ]
    if rows:
        print_table(["NODE", "THE BACKUP HAS IT", "WHAT THE NODE HOLDS"], [[n, WHERE[w], e] for n, w, e in rows])
        print("`godwit doctor` says what waits for you; `godwit node approve` lets go what a budget holds back")


WHERE = {"unknown": "nowhere", "elsewhere": "elsewhere"}
