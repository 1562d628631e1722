"""`godwit instance`: machines, which may move while their addresses stay."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer
from godwit_client import Connection, Operation, answer, every, resource_id
from godwit_client.placement import models as wire
from godwit_client.placement.api.instances import (
    convert_instance,
    create_instance,
    delete_instance,
    get_instance,
    list_instances,
    move_instance,
    restart_instance,
    revert_instance,
    start_instance,
    stop_instance,
)

from cli import find, waiting
from cli.output import print_json, print_table, show_list, show_one
from cli.session import AsJson, ValidateOnly, Wait, Zone, session_of

app = typer.Typer(no_args_is_help=True, help="Machines, which may move while their addresses stay.")

Instance = Annotated[str, typer.Argument(help="Name, id, or an address of it.", show_default=False)]
On = Annotated[str | None, typer.Option("--hypervisor", help="Where to run it. Default: where most is free.")]


@app.command()
def create(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Small letters, digits and hyphens.", show_default=False)],
    flavor: Annotated[str, typer.Option(help="Its size: see `godwit flavor list`.")],
    zone: Zone = None,
    mode: Annotated[
        wire.Mode | None, typer.Option(help="How public addresses reach it. Default: as the zone does it.")
    ] = None,
    address: Annotated[
        list[str] | None, typer.Option(help="A reserved address, by name or id too; may be given several times.")
    ] = None,
    ipv4: Annotated[bool, typer.Option("--ipv4", help="Reserve an IPv4 address for it.")] = False,
    ipv6: Annotated[bool, typer.Option("--ipv6", help="Reserve an IPv6 prefix for it.")] = False,
    hypervisor: On = None,
    wait: Wait = True,
    as_json: AsJson = False,
) -> None:
    """Create an instance and start it."""
    api = session_of(context).api
    body = wire.InstanceCreate(
        name=name,
        zone=find.zone_name(api, zone),
        flavor=flavor,
        mode=mode,
        addresses=[find.flexible_ip(api, text).id for text in address or []],
        allocate=[family for family, wanted in (("ipv4", ipv4), ("ipv6", ipv6)) if wanted],
        hypervisor=hypervisor,
    )
    _follow(api, answer(create_instance.sync_detailed(client=api.placement, body=body)), wait, as_json)


@app.command("list")
def list_(
    context: typer.Context,
    zone: Annotated[str | None, typer.Option(help="Only this zone's.")] = None,
    hypervisor: Annotated[str | None, typer.Option(help="Only those that run there.")] = None,
    as_json: AsJson = False,
) -> None:
    """List instances: where they run, and their addresses."""
    api = session_of(context).api

    def page(cursor: str | None) -> wire.InstancePage:
        return answer(
            list_instances.sync_detailed(client=api.placement, cursor=cursor, zone=zone, hypervisor=hypervisor)
        )

    show_list(
        every(page),
        [
            ("NAME", lambda one: one.name),
            ("STATE", lambda one: one.state.value),
            ("HYPERVISOR", lambda one: one.hypervisor),
            ("MODE", lambda one: one.port.mode.value),
            ("ADDRESSES", lambda one: [shown(address) for address in one.port.addresses]),
            ("FLAVOR", lambda one: one.flavor),
            ("PROJECT", lambda one: one.project),
        ],
        as_json,
        "no instances yet; `godwit instance create` makes one",
    )


@app.command()
def show(context: typer.Context, instance: Instance, as_json: AsJson = False) -> None:
    """Show one instance."""
    _show(find.instance(session_of(context).api, instance), as_json)


@app.command()
def start(
    context: typer.Context, instance: Instance, hypervisor: On = None, wait: Wait = True, as_json: AsJson = False
) -> None:
    """Start an archived instance, possibly elsewhere. Its disk and its addresses come along."""
    api = session_of(context).api
    found = find.instance(api, instance)
    body = wire.InstanceStart(hypervisor=hypervisor)
    _follow(api, answer(start_instance.sync_detailed(found.id, client=api.placement, body=body)), wait, as_json)


@app.command()
def stop(context: typer.Context, instance: Instance, wait: Wait = True, as_json: AsJson = False) -> None:
    """Stop (archive) an instance. Its machine is freed; its disk is kept, its addresses stay with it."""
    api = session_of(context).api
    found = find.instance(api, instance)
    _follow(api, answer(stop_instance.sync_detailed(found.id, client=api.placement)), wait, as_json)


@app.command()
def move(
    context: typer.Context,
    instance: Instance,
    to: Annotated[str | None, typer.Option(help="The hypervisor it goes to. Default: any other.")] = None,
    cold: Annotated[bool, typer.Option("--cold", help="Stop it here, take its disk along, start it there.")] = False,
    wait: Wait = True,
    as_json: AsJson = False,
) -> None:
    """Move a running instance to another hypervisor. Its addresses come along."""
    api = session_of(context).api
    found = find.instance(api, instance)
    body = wire.InstanceMove(to=to, kind=wire.MoveKind.COLD if cold else wire.MoveKind.LIVE)
    _follow(api, answer(move_instance.sync_detailed(found.id, client=api.placement, body=body)), wait, as_json)


@app.command()
def convert(
    context: typer.Context,
    instance: Instance,
    give_up_ipv4: Annotated[
        bool, typer.Option(help="It has no public IPv4 address, and may lose its 10.x at its next start.")
    ] = False,
    validate_only: ValidateOnly = False,
    wait: Wait = True,
    as_json: AsJson = False,
) -> None:
    """Take an instance off the central NAT while it works. Every public address is kept.

    What is predicted is shown before it begins, and what came of it at the end.
    """
    api = session_of(context).api
    found = find.instance(api, instance)
    body = wire.InstanceConvert(gives_up_ipv4=give_up_ipv4)
    response = convert_instance.sync_detailed(found.id, client=api.placement, body=body, validate_only=validate_only)
    operation = answer(response)
    predicted = _predicted(wire.Prediction.from_dict(_result(operation, "predicted")))
    if not as_json:
        print_table(["WHAT", "PREDICTED"], predicted)
    if validate_only or not wait:
        if as_json:
            print_json(operation.to_dict())
        elif not validate_only:
            print(f"operation {operation.id}")
        return
    done = waiting.wait(api, operation)
    if as_json:
        print_json(done.to_dict())
        return
    actual = _actual(_result(done, "actual"), find.instance(api, str(found.id)))
    print_table(["WHAT", "PREDICTED", "ACTUAL"], [(what, said, actual.get(what, "gone")) for what, said in predicted])


def _result(operation: Operation, part: str) -> dict[str, Any]:
    result: dict[str, Any] = operation.to_dict().get("result") or {}
    found: dict[str, Any] = result[part]
    return found


def _predicted(predicted: wire.Prediction) -> list[tuple[str, str]]:
    return [
        ("mode", predicted.mode.value),
        ("mode after its restart", predicted.mode_after_restart.value),
        ("gap", f"{predicted.gap_ms} ms"),
        *((address.before, becomes(address)) for address in predicted.addresses),
    ]


def _actual(actual: Mapping[str, Any], now: wire.Instance) -> dict[str, str]:
    """By what was predicted: what there is now."""
    return {
        "mode": actual["mode"],
        "mode after its restart": "not restarted yet",
        "gap": f"{actual['probes_lost']} of {actual['probes']} probes lost",
        **{address.prefix: "there" for address in now.port.addresses},
    }


def becomes(address: wire.PredictedAddress) -> str:
    """What a conversion makes of an address."""
    if address.after is None:
        return f"ends at the {address.ends_at}"
    return "stays" if address.after == address.before else address.after


@app.command()
def restart(context: typer.Context, instance: Instance, wait: Wait = True, as_json: AsJson = False) -> None:
    """Stop an instance and start it where it is. A converted one takes its public addresses itself then."""
    api = session_of(context).api
    found = find.instance(api, instance)
    _follow(api, answer(restart_instance.sync_detailed(found.id, client=api.placement)), wait, as_json)


@app.command()
def revert(context: typer.Context, instance: Instance, wait: Wait = True, as_json: AsJson = False) -> None:
    """Put a converted instance back behind the central NAT while it works."""
    api = session_of(context).api
    found = find.instance(api, instance)
    _follow(api, answer(revert_instance.sync_detailed(found.id, client=api.placement)), wait, as_json)


@app.command()
def delete(context: typer.Context, instance: Instance, wait: Wait = True, as_json: AsJson = False) -> None:
    """Delete an instance. Its addresses stay reserved for you."""
    api = session_of(context).api
    found = find.instance(api, instance)
    operation = answer(delete_instance.sync_detailed(found.id, client=api.placement))
    if wait:
        operation_done = waiting.wait(api, operation)
        show_one(operation_done, {"deleted": found.name, "id": found.id}, as_json)
    else:
        show_one(operation, {"operation": operation.id, "state": operation.state.value}, as_json)


def shown(address: wire.PortAddress) -> str:
    """An address as a person reads it: the guest's own, and that it is the node's where it changes on moves."""
    host = address.host.partition("/")[0]
    return host if address.flexible_ip else f"{host} (node's)"


def _follow(api: Connection, operation: wire.Operation, wait: bool, as_json: bool) -> None:
    if not wait:
        show_one(operation, {"operation": operation.id, "state": operation.state.value}, as_json)
        return
    waiting.wait(api, operation)
    _show(answer(get_instance.sync_detailed(resource_id(operation), client=api.placement)), as_json)


def _show(one: wire.Instance, as_json: bool) -> None:
    fields = {
        "name": one.name,
        "state": one.state.value,
        "hypervisor": one.hypervisor,
        "mode": one.port.mode.value,
        "addresses": [shown(address) for address in one.port.addresses],
        "flavor": one.flavor,
        "zone": one.zone,
        "project": one.project,
        "mac": one.port.mac,
        "id": one.id,
        "since": one.created_at,
    }
    if one.archive:
        fields["archive"] = f"{one.archive.size_bytes} bytes at {one.archive.url}"
        fields["left behind"] = f"{one.archive.left_out} links, devices and the like"
    if one.operation:
        fields["changed by"] = one.operation
    show_one(one, fields, as_json)
