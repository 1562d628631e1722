"""`godwit cloud`: a whole cloud on this machine, in network namespaces, to try everything out.

The cloud named `compose` is the one in containers (docker-compose.yml), with the same commands.
"""

from __future__ import annotations

import dataclasses
import enum
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from godwit_client import answer
from godwit_client.placement import models as placement
from godwit_client.placement.api.nodes import fence_node

from cli import find, waiting
from cli.access import only_cloud
from cli.output import Progress, print_json, print_table, show_fields
from cli.problems import CommandError, Usage
from cli.session import AsJson, session_of
from cloud.compose import layout
from cloud.plan import MAX_ZONES, Paths, Stack

if TYPE_CHECKING:  # loading it takes longer than most commands take
    from cloud.operations import CloudStatus, Network
    from cloud.site import Site

DEFAULT_NAME = "godwit"
DEMO_NAME = "demo"
CONVERT_DEMO_NAME = "convert"
FAILURE_DEMO_NAME = "failures"

app = typer.Typer(no_args_is_help=True, help="A whole cloud on this machine, in network namespaces. Needs root.")

Name = Annotated[str | None, typer.Argument(help="The cloud's name, where several run.", show_default=False)]
Named = Annotated[str | None, typer.Option("--name", help="The cloud's name, where several run.")]
Node = Annotated[str, typer.Argument(help="For example gateway-1, hypervisor-2 or z2-edge.", show_default=False)]
Fabric = Annotated[bool, typer.Option("--fabric", help="Only from the fabric, which carries the guests' traffic.")]
Management = Annotated[bool, typer.Option("--management", help="Only from the management network.")]


class Switch(enum.StrEnum):
    """A power switch's two ends."""

    ON = "on"
    OFF = "off"


@app.command()
def up(
    context: typer.Context,
    name: Name = None,
    named: Named = None,
    hypervisors: Annotated[
        str | None, typer.Option(help="How many; 3,1 for three in the first zone and one in the second. Default: 3.")
    ] = None,
    gateways: Annotated[str | None, typer.Option(help="How many NAT gateways, alike. Default: 2.")] = None,
    zones: Annotated[int | None, typer.Option(min=1, max=MAX_ZONES, help="How many zones. Default: 1.")] = None,
    stack: Annotated[Stack | None, typer.Option(help="What the zones start with. Default: dual.")] = None,
) -> None:
    """Start a cloud, or put right what a crash left broken."""
    from cloud import operations
    from cloud.compose import operations as containers

    wanted = _name(context, name or named)
    progress = Progress()
    try:
        if wanted == layout.NAME:
            if any(option is not None for option in (hypervisors, gateways, zones, stack)):
                raise Usage("the size of the cloud in containers is that of docker-compose.yml", "compose.size")
            containers.up(progress.say)
        else:
            status = operations.up(
                wanted,
                _counts("--hypervisors", hypervisors),
                _counts("--gateways", gateways),
                progress.say,
                zones=zones,
                stack=stack,
            )
    finally:
        progress.done()
    if wanted == layout.NAME:
        _show_containers()
    else:
        _show(status)


@app.command()
def down(
    context: typer.Context,
    name: Name = None,
    named: Named = None,
    keep_data: Annotated[bool, typer.Option("--keep-data", help="Leave the database for the next start.")] = False,
) -> None:
    """Stop a cloud and remove everything it made."""
    from cloud import operations
    from cloud.compose import operations as containers

    wanted = _name(context, name or named)
    progress = Progress()
    try:
        if wanted == layout.NAME:
            there_was = containers.down(progress.say, keep_data=keep_data)
        else:
            there_was = operations.down(wanted, keep_data, progress.say)
    finally:
        progress.done()
    print(f"cloud {wanted} is gone" if there_was else f"there was no cloud {wanted}")


@app.command()
def status(context: typer.Context, name: Name = None, named: Named = None, as_json: AsJson = False) -> None:
    """Show a cloud: addresses of its APIs, nodes, processes, guests. With --json, tokens too."""
    from cloud import operations

    wanted = _existing(context, name or named)
    if wanted == layout.NAME:
        _show_containers(as_json)
        return
    found = operations.status(wanted)
    if as_json:
        print_json(dataclasses.asdict(found))
    else:
        _show(found)


@app.command("exec", context_settings={"ignore_unknown_options": True})
def exec_(
    context: typer.Context,
    node: Annotated[str, typer.Argument(help="internet, edge, gateway-1, hypervisor-1, or an instance's name.")],
    command: Annotated[list[str], typer.Argument(help="After --, what to run there.", show_default=False)],
    name: Named = None,
) -> None:
    """Run a command inside a node or a guest.

    For example: godwit cloud exec internet -- ping -c 3 198.18.16.1
    """
    from cloud import operations

    wanted = _existing(context, name)
    if wanted == layout.NAME:
        from cloud.compose.site import exec_argv

        argv = exec_argv(node, command, "--interactive", *(["--tty"] if sys.stdin.isatty() else []))
        raise typer.Exit(subprocess.run(argv, check=False).returncode)
    raise typer.Exit(operations.execute(wanted, node, command))


@app.command()
def cut(
    context: typer.Context, node: Node, fabric: Fabric = False, management: Management = False, name: Named = None
) -> None:
    """Cut a node off. Its processes go on."""
    networks = _networks(fabric, management)
    _site(_existing(context, name)).cut(node, networks)
    print(f"{node} is cut off from {' and '.join(networks)}; `godwit cloud heal {node}` undoes it")


@app.command()
def heal(
    context: typer.Context, node: Node, fabric: Fabric = False, management: Management = False, name: Named = None
) -> None:
    """Undo a cut."""
    networks = _networks(fabric, management)
    _site(_existing(context, name)).heal(node, networks)
    print(f"{node} is connected to {' and '.join(networks)}")


@app.command()
def power(
    context: typer.Context,
    node: Node,
    switch: Annotated[Switch, typer.Argument(help="on or off", show_default=False)],
    name: Named = None,
) -> None:
    """Switch a node on or off, as its power button would: its processes, its guests' links, its cables."""
    _site(_existing(context, name)).power(node, on=switch is Switch.ON)
    print(f"{node} is switched {switch.value}")


@app.command()
def fence(context: typer.Context, node: Node, name: Named = None) -> None:
    """Switch a node off, and have the edge hold it apart: what it announced counts as withdrawn then."""
    cloud_name = _existing(context, name)
    api = session_of(context).api
    found = find.node(api, node, None)
    _site(cloud_name).power(node, on=False)
    off = f"supervisor of {cloud_name}: {node} is off"
    evidence = placement.Evidence(kind=placement.EvidenceKind.POWER_OFF, ref=off)
    body = placement.NodeFence(evidence=evidence)
    waiting.wait(api, answer(fence_node.sync_detailed(found.id, client=api.placement, body=body)))
    print(f"{node} is off and fenced; `godwit hypervisor evacuate {node}` starts its instances elsewhere")


@app.command()
def logs(
    context: typer.Context,
    process: Annotated[str | None, typer.Argument(help="Which one; all are listed if left out.")] = None,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="How many of the last lines.")] = 50,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what is written.")] = False,
    name: Named = None,
) -> None:
    """Show what a process of the cloud wrote."""
    wanted = _existing(context, name)
    if wanted == layout.NAME:
        raise Usage("its logs are with the engine: docker-compose logs", "compose.logs")
    directory = Paths.of(wanted).log
    known = sorted(path.stem for path in directory.glob("*.log")) if directory.is_dir() else []
    if process is None:
        print("\n".join(known) or f"cloud {wanted} has no logs")
        return
    if process not in known:
        raise CommandError(f"there is no log of {process!r}; there are {', '.join(known) or 'none'}", "cloud.no_log")
    options = [f"--lines={lines}", *(["--follow=name", "--retry"] if follow else [])]
    os.execvp("tail", ["tail", *options, str(directory / f"{process}.log")])  # noqa: S606


@app.command()
def demo(
    context: typer.Context,
    name: Annotated[str | None, typer.Option("--name", help="The cloud to start, or to use. Default: demo.")] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the cloud running afterwards.")] = False,
    report: Annotated[
        Path | None,
        typer.Option(help="Where the figures go; the raw logs go beside it. Default: build/demo.json."),
    ] = None,
) -> None:
    """Take a tour with real packets, and measure what it promises.

    Starts a cloud of its own, and ends with exit code 1 if anything fell short.
    """
    from cloud import tour  # not needed, and not loaded, for anything else

    wanted = name or session_of(context).source.cloud or DEMO_NAME
    if wanted == layout.NAME:
        from cloud.compose.site import stage

        raise typer.Exit(tour.run(stage(), report or Path("build/compose.json"), keep=keep))
    raise typer.Exit(tour.run(tour.local(wanted), report or Path("build/demo.json"), keep=keep))


@app.command("convert-demo")
def convert_demo(
    name: Annotated[
        str | None, typer.Option("--name", help="The cloud to start. Default: convert.", show_default=False)
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the cloud running afterwards.")] = False,
    report: Annotated[Path, typer.Option(help="Where the figures go; the raw logs go beside it.")] = Path(
        "build/convert.json"
    ),
) -> None:
    """Take a zone off the central NAT with real packets, half-way back, and to the end.

    Starts a cloud of its own with two zones, and ends with exit code 1 if anything fell short.
    """
    from cloud.conversion import demo  # not needed, and not loaded, for anything else

    raise typer.Exit(demo.run(name or CONVERT_DEMO_NAME, report, keep=keep))


@app.command("failure-demo")
def failure_demo(
    name: Annotated[
        str | None, typer.Option("--name", help="The cloud to start. Default: failures.", show_default=False)
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the cloud running afterwards.")] = False,
    report: Annotated[Path, typer.Option(help="Where the figures go; the raw logs go beside it.")] = Path(
        "build/failures.json"
    ),
) -> None:
    """Let machines fail, with real packets: fence, evacuate, fail over, drain, trace.

    Starts a cloud of its own, and ends with exit code 1 if anything fell short.
    """
    from cloud.failures import demo  # not needed, and not loaded, for anything else

    raise typer.Exit(demo.run(name or FAILURE_DEMO_NAME, report, keep=keep))


def _name(context: typer.Context, given: str | None) -> str:
    """The cloud that was named, here or before the group, or the usual one."""
    return given or session_of(context).source.cloud or DEFAULT_NAME


def _existing(context: typer.Context, given: str | None) -> str:
    """The cloud that was named, or the only one there is."""
    named = given or session_of(context).source.cloud
    return named or (only_cloud() if os.geteuid() == 0 else DEFAULT_NAME)


def _site(name: str) -> Site:
    from cloud.compose.site import ComposeSite
    from cloud.site import LocalSite

    return ComposeSite() if name == layout.NAME else LocalSite(name)


def _counts(option: str, given: str | None) -> int | list[int] | None:
    """One number for every zone, or one for each, parted by commas."""
    if given is None:
        return None
    numbers = [int(part) if part.isdecimal() else 0 for part in given.split(",")]
    if min(numbers) < 1:
        raise typer.BadParameter(
            f"{given!r} is not a number from 1 on, nor several parted by commas", param_hint=option
        )
    return numbers[0] if len(numbers) == 1 else numbers


def _networks(fabric: bool, management: bool) -> tuple[Network, ...]:
    chosen: list[Network] = []
    if fabric:
        chosen.append("fabric")
    if management:
        chosen.append("management")
    return tuple(chosen) or ("fabric", "management")


def _show(status: CloudStatus) -> None:
    several = len(status.zones) > 1
    restarts = sum(process.restarts for process in status.processes)
    show_fields(
        {
            "cloud": status.name,
            "state": status.state,
            **({"zones": ", ".join(status.zones)} if several else {}),
            "ipam": status.apis["ipam"],
            "placement": status.apis["placement"],
            "guests": ", ".join(status.guests),
            "logs": status.logs,
            "processes": f"{len(status.processes)}, restarted {restarts} times",
        }
    )
    print_table(
        [*(["ZONE"] if several else []), "NODE", "CONDITION", "ROUTING", "AGENT", "MANAGEMENT", "FABRIC"],
        [
            [
                *([node.zone] if several else []),
                *(node.name, node.condition, _runs(node.routing), _runs(node.agent), node.management, node.endpoint),
            ]
            for node in status.nodes
        ],
    )
    down = [process for process in status.processes if process.state != "running"]
    if down:
        print_table(
            ["PROCESS", "STATE", "RESTARTS", "LAST EXIT"],
            [[process.name, process.state, process.restarts, process.last_exit] for process in down],
        )


def _show_containers(as_json: bool = False) -> None:
    from cloud.compose import engine, operations as containers

    found = engine.containers()
    if as_json:
        print_json({"apis": containers.apis(), "containers": [dataclasses.asdict(each) for each in found]})
        return
    show_fields({"cloud": layout.NAME, **containers.apis()})
    print_table(
        ["CONTAINER", "STATE", "HEALTH", "RESTARTS"],
        [[each.service, each.state, each.health, each.restarts] for each in found],
    )


def _runs(running: bool) -> str:
    return "running" if running else "stopped"
