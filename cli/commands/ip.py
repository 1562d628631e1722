"""`godwit ip`: flexible IPs, the addresses that stay yours while instances come, go and move."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import typer
from godwit_client import Connection, answer, every, resource_id
from godwit_client.ipam import models as wire
from godwit_client.ipam.api.flexible_ips import (
    attach_flexible_ip,
    delete_flexible_ip_health_check,
    detach_flexible_ip,
    fail_over_flexible_ip,
    get_flexible_ip,
    list_flexible_ip_audit,
    list_flexible_ips,
    move_flexible_ip,
    put_flexible_ip_candidates,
    put_flexible_ip_health_check,
    release_flexible_ip,
    reserve_flexible_ip,
    swap_flexible_ips,
    thaw_flexible_ip,
    update_flexible_ip,
)
from godwit_client.ipam.api.holdings import list_holdings

from cli import find, waiting
from cli.output import show_list, show_one
from cli.problems import CommandError, Usage
from cli.session import AsJson, Wait, Zone, session_of

app = typer.Typer(no_args_is_help=True, help="Addresses that stay yours while instances come, go and move.")

Address = Annotated[str, typer.Argument(help="The address, its name, or its id.", show_default=False)]
Instance = Annotated[str, typer.Argument(help="The instance: name, id, or an address of it.", show_default=False)]
Label = Annotated[list[str] | None, typer.Option("--label", metavar="KEY=VALUE", help="May be given several times.")]


@app.command()
def reserve(
    context: typer.Context,
    address: Annotated[
        str | None, typer.Argument(help="The address you would like; any free one if left out.", show_default=False)
    ] = None,
    zone: Zone = None,
    family: Annotated[wire.Family | None, typer.Option(help="Default: that of the address, or ipv4.")] = None,
    pool: Annotated[str | None, typer.Option(help="Take it from this pool.")] = None,
    name: Annotated[str | None, typer.Option(help="A name to call it by.")] = None,
    label: Label = None,
    failover: Annotated[
        bool, typer.Option("--failover", help="It may go to one of several candidates, by itself if it is checked.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Reserve an address for your project.

    It is yours until you release it, attached to something or not.
    """
    api = session_of(context).api
    if family is None:
        family = wire.Family.IPV6 if address and ":" in address else wire.Family.IPV4
    body = wire.FlexibleIPReserve(
        zone=find.zone_name(api, zone),
        family=family,
        kind=wire.FlexibleIPKind.FAILOVER if failover else wire.FlexibleIPKind.STANDARD,
        pool=pool,
        address=address,
        name=name,
        labels=wire.Labels.from_dict(_labels(label)),
    )
    _show(api, answer(reserve_flexible_ip.sync_detailed(client=api.ipam, body=body)), as_json)


@app.command("list")
def list_(
    context: typer.Context,
    zone: Annotated[str | None, typer.Option(help="Only this zone's.")] = None,
    family: Annotated[wire.Family | None, typer.Option(help="Only this family.")] = None,
    pool: Annotated[str | None, typer.Option(help="Only from this pool.")] = None,
    state: Annotated[wire.FlexibleIPState | None, typer.Option(help="Only in this state.")] = None,
    label: Annotated[str | None, typer.Option(metavar="KEY=VALUE", help="Only with this label.")] = None,
    as_json: AsJson = False,
) -> None:
    """List your addresses, and what they are attached to."""
    api = session_of(context).api

    def page(cursor: str | None) -> wire.FlexibleIPPage:
        return answer(
            list_flexible_ips.sync_detailed(
                client=api.ipam, cursor=cursor, zone=zone, family=family, pool=pool, state=state, label=label
            )
        )

    found = list(every(page))
    names = find.holder_names(api, found) if found and not as_json else {}
    show_list(
        found,
        [
            ("ADDRESS", lambda ip: ip.address),
            ("STATE", lambda ip: ip.state.value),
            ("ATTACHED TO", lambda ip: _holder(ip, names)),
            ("NAME", lambda ip: ip.name),
            ("ZONE", lambda ip: ip.zone),
            ("POOL", lambda ip: ip.pool),
            ("PROJECT", lambda ip: ip.project),
        ],
        as_json,
        "no addresses yet; `godwit ip reserve` takes one",
    )


@app.command()
def show(context: typer.Context, address: Address, as_json: AsJson = False) -> None:
    """Show one address."""
    api = session_of(context).api
    _show(api, find.flexible_ip(api, address), as_json)


@app.command()
def update(
    context: typer.Context,
    address: Address,
    name: Annotated[str | None, typer.Option(help="A new name; an empty one takes it away.")] = None,
    label: Label = None,
    protect: Annotated[
        bool | None, typer.Option("--protect/--no-protect", help="Whether it may be released at all.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Change an address's name, labels or protection."""
    api = session_of(context).api
    if name is None and not label and protect is None:
        raise Usage("say what to change: --name, --label, --protect or --no-protect")
    body = wire.FlexibleIPUpdate()
    if name is not None:
        body.name = name or None
    if label:
        body.labels = wire.Labels.from_dict(_labels(label))
    if protect is not None:
        body.protected = protect
    found = find.flexible_ip(api, address)
    _show(api, answer(update_flexible_ip.sync_detailed(found.id, client=api.ipam, body=body)), as_json)


@app.command()
def release(context: typer.Context, address: Address, as_json: AsJson = False) -> None:
    """Give an address back. It must be attached to nothing."""
    api = session_of(context).api
    found = find.flexible_ip(api, address)
    _show(api, answer(release_flexible_ip.sync_detailed(found.id, client=api.ipam)), as_json)


@app.command()
def attach(
    context: typer.Context, address: Address, instance: Instance, wait: Wait = True, as_json: AsJson = False
) -> None:
    """Attach an address to an instance.

    For example: godwit ip attach 198.18.16.7 web
    """
    api = session_of(context).api
    found = find.flexible_ip(api, address)
    body = wire.Attach(target=find.target_of(find.instance(api, instance)))
    _follow(api, answer(attach_flexible_ip.sync_detailed(found.id, client=api.ipam, body=body)), wait, as_json)


@app.command()
def detach(
    context: typer.Context,
    address: Address,
    from_: Annotated[str | None, typer.Option("--from", help="Only if it is attached to this instance.")] = None,
    wait: Wait = True,
    as_json: AsJson = False,
) -> None:
    """Take an address off its instance. It stays reserved."""
    api = session_of(context).api
    found = find.flexible_ip(api, address)
    body = wire.Detach()
    if from_:
        body.from_ = find.target_of(find.instance(api, from_))
    _follow(api, answer(detach_flexible_ip.sync_detailed(found.id, client=api.ipam, body=body)), wait, as_json)


@app.command()
def move(
    context: typer.Context,
    address: Address,
    to: Annotated[str, typer.Argument(help="The instance it goes to.", show_default=False)],
    from_: Annotated[
        str | None, typer.Option("--from", help="Only if it is attached to this instance. Default: where it is now.")
    ] = None,
    wait: Wait = True,
    as_json: AsJson = False,
) -> None:
    """Move an address from one instance to another, in one step.

    The new instance gets it as soon as the old one's host has confirmed that it let go.
    """
    api = session_of(context).api
    found = find.flexible_ip(api, address)
    source = find.target_of(find.instance(api, from_)) if from_ else _held_by(found)
    body = wire.Move(from_=source, to=find.target_of(find.instance(api, to)))
    _follow(api, answer(move_flexible_ip.sync_detailed(found.id, client=api.ipam, body=body)), wait, as_json)


@app.command()
def swap(
    context: typer.Context,
    first: Address,
    second: Annotated[str, typer.Argument(help="The other address.", show_default=False)],
    wait: Wait = True,
    as_json: AsJson = False,
) -> None:
    """Let two addresses change places, both or neither."""
    api = session_of(context).api
    sides = [find.flexible_ip(api, address) for address in (first, second)]
    body = wire.Swap(*(wire.Held(flexible_ip=found.id, target=_held_by(found)) for found in sides))
    _follow(api, answer(swap_flexible_ips.sync_detailed(client=api.ipam, body=body)), wait, as_json)


@app.command()
def candidates(
    context: typer.Context,
    address: Address,
    instances: Annotated[
        list[str] | None,
        typer.Argument(metavar="INSTANCE[=PRIORITY]...", help="All of them; the highest priority goes first."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Set the instances that a failover address may go to; without any, show them.

    For example: godwit ip candidates 198.18.16.7 web-1=200 web-2=100
    """
    api = session_of(context).api
    found = find.flexible_ip(api, address)
    if instances:
        body = wire.CandidatesPut([_candidate(api, text) for text in instances])
        found = answer(put_flexible_ip_candidates.sync_detailed(found.id, client=api.ipam, body=body))
    _show(api, found, as_json)


@app.command()
def failover(
    context: typer.Context,
    address: Address,
    to: Annotated[
        str | None, typer.Option(help="The candidate it goes to. Default: the best but for the active one.")
    ] = None,
    wait: Wait = True,
    as_json: AsJson = False,
) -> None:
    """Let a failover address go to another of its candidates."""
    api = session_of(context).api
    found = find.flexible_ip(api, address)
    body = wire.Failover(from_=_held_by(found))
    if to:
        body.to = find.target_of(find.instance(api, to))
    _follow(api, answer(fail_over_flexible_ip.sync_detailed(found.id, client=api.ipam, body=body)), wait, as_json)


@app.command("health-check")
def health_check(
    context: typer.Context,
    address: Address,
    protocol: Annotated[
        wire.HealthProtocol | None, typer.Argument(help="icmp: it answers an echo; tcp: it accepts connections.")
    ] = None,
    port: Annotated[int | None, typer.Option(help="The TCP port.")] = None,
    interval_ms: Annotated[int, typer.Option(help="Milliseconds between two probes.")] = 200,
    threshold: Annotated[int, typer.Option(help="So many unanswered in a row, and it is down.")] = 3,
    hold_down_s: Annotated[int, typer.Option(help="Seconds after a failover in which no other follows.")] = 10,
    off: Annotated[bool, typer.Option("--off", help="No longer check it.")] = False,
    as_json: AsJson = False,
) -> None:
    """Have the holder of a failover address checked; when it is down, the next candidate gets the address.

    For example: godwit ip health-check 198.18.16.7 tcp --port 80
    """
    api = session_of(context).api
    if off is (protocol is not None):
        raise Usage("say how to check it, icmp or tcp, or --off")
    found = find.flexible_ip(api, address)
    if protocol is None:
        _show(api, answer(delete_flexible_ip_health_check.sync_detailed(found.id, client=api.ipam)), as_json)
        return
    body = wire.HealthCheck(protocol, port, interval_ms, threshold, hold_down_s)
    _show(api, answer(put_flexible_ip_health_check.sync_detailed(found.id, client=api.ipam, body=body)), as_json)


@app.command()
def thaw(context: typer.Context, address: Address, as_json: AsJson = False) -> None:
    """Let an address that failed over too often do so by itself again."""
    api = session_of(context).api
    found = find.flexible_ip(api, address)
    _show(api, answer(thaw_flexible_ip.sync_detailed(found.id, client=api.ipam)), as_json)


@app.command()
def history(
    context: typer.Context,
    address: Annotated[str, typer.Argument(help="An address or prefix; a name works for your own.")],
    at: Annotated[datetime | None, typer.Option(help="Only who held it at this moment (local time).")] = None,
    as_json: AsJson = False,
) -> None:
    """Show who held an address, and when."""
    api = session_of(context).api
    wanted = address if find.as_address(address) else find.flexible_ip(api, address).address

    def page(cursor: str | None) -> wire.HoldingPage:
        moment = at.astimezone() if at else None
        return answer(list_holdings.sync_detailed(client=api.ipam, cursor=cursor, address=wanted, at=moment))

    show_list(
        every(page),
        [
            ("ADDRESS", lambda held: held.address),
            ("PROJECT", lambda held: held.project),
            ("HELD BY", lambda held: _target(held.target)),
            ("SINCE", lambda held: held.since),
            ("UNTIL", lambda held: held.until or "now"),
        ],
        as_json,
        f"nobody has held {wanted}",
    )


@app.command()
def audit(context: typer.Context, address: Address, as_json: AsJson = False) -> None:
    """Show who did what with an address of a project's, by which request, from its reservation on."""
    api = session_of(context).api
    found = find.flexible_ip(api, address)

    def page(cursor: str | None) -> wire.AuditRecordPage:
        return answer(list_flexible_ip_audit.sync_detailed(found.id, client=api.ipam, cursor=cursor))

    show_list(
        every(page),
        [
            ("AT", lambda record: record.at),
            ("WHO", lambda record: record.actor),
            ("WHAT", lambda record: record.action),
            ("CHANGED", _changed),
            ("REQUEST", lambda record: record.request_id),
        ],
        as_json,
        f"nothing was done with {found.address}",
    )


def _changed(record: wire.AuditRecord) -> list[str]:
    """What is other than before, as it became."""
    before, after = (side.to_dict() if side else {} for side in (record.before, record.after))
    return [f"{name}: {after[name]}" for name in after if after[name] != before.get(name)]


def _labels(given: list[str] | None) -> dict[str, str]:
    labels = {}
    for text in given or []:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise Usage(f"label {text!r} is not KEY=VALUE")
        labels[key] = value
    return labels


def _held_by(ip: wire.FlexibleIP) -> wire.TargetRef:
    """What has it now. Raises CommandError."""
    if isinstance(ip.attachment, wire.Attachment):
        return ip.attachment.target
    raise CommandError(f"{ip.address} is attached to nothing; use `godwit ip attach`", "ipam.flexible_ip.not_attached")


def _candidate(api: Connection, text: str) -> wire.CandidatePut:
    name, equals, priority = text.partition("=")
    if equals and not priority.isdecimal():
        raise Usage(f"candidate {text!r} is not INSTANCE=PRIORITY")
    target = find.target_of(find.instance(api, name))
    return wire.CandidatePut(target, int(priority)) if equals else wire.CandidatePut(target)


def _target(target: wire.TargetRef | None) -> str | None:
    return f"{target.kind} {target.id}" if isinstance(target, wire.TargetRef) else None


def _holder(ip: wire.FlexibleIP, names: dict[UUID, str]) -> str:
    return " → ".join(names.get(held.target.id) or f"{_target(held.target)}" for held in find.attachments(ip))


def _follow(api: Connection, operation: wire.Operation, wait: bool, as_json: bool) -> None:
    if not wait:
        show_one(operation, {"operation": operation.id, "state": operation.state.value}, as_json)
        return
    waiting.wait(api, operation)
    _show(api, answer(get_flexible_ip.sync_detailed(resource_id(operation), client=api.ipam)), as_json)


def _show(api: Connection, ip: wire.FlexibleIP, as_json: bool) -> None:
    labels = ip.labels.additional_properties if isinstance(ip.labels, wire.Labels) else {}
    names = {} if as_json else find.holder_names(api, [ip])
    fields: dict[str, Any] = {
        "address": ip.address,
        "state": ip.state.value,
        "attached to": _holder(ip, names),
        "name": ip.name,
        "labels": [f"{key}={value}" for key, value in labels.items()],
        "protected": ip.protected,
        "carried": ip.carried,
        "zone": ip.zone,
        "pool": ip.pool,
        "project": ip.project,
        "id": ip.id,
        "since": ip.created_at,
    }
    if ip.kind is wire.FlexibleIPKind.FAILOVER:
        fields |= _failover_fields(ip, names)
    if ip.interface_id:
        fields["guest takes"] = ip.interface_id
    if ip.quarantined_until:
        fields["free again"] = ip.quarantined_until
    show_one(ip, fields, as_json)


def _failover_fields(ip: wire.FlexibleIP, names: dict[UUID, str]) -> dict[str, Any]:
    check = ip.health_check
    shown = ""
    if isinstance(check, wire.HealthCheck):
        port = f" port {check.port}" if check.port else ""
        shown = f"{check.protocol.value}{port}, down after {check.threshold} x {check.interval_ms} ms"
    return {
        "candidates": [
            f"{names.get(item.target.id) or _target(item.target)}={item.priority}{' (active)' if item.active else ''}"
            for item in ip.candidates or []
        ],
        "health check": shown,
        "frozen since": ip.frozen_since or "",
    }
