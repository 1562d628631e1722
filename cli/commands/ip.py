"""`godwit ip`: flexible IPs, the addresses that stay yours while instances come, go and move."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

import typer
from godwit_client import Connection, answer
from godwit_client.ipam import models as wire
from godwit_client.ipam.api.flexible_ips import (
    attach_flexible_ip,
    detach_flexible_ip,
    get_flexible_ip,
    list_flexible_ips,
    move_flexible_ip,
    release_flexible_ip,
    reserve_flexible_ip,
    update_flexible_ip,
)
from godwit_client.ipam.api.holdings import list_holdings

from cli import find, waiting
from cli.output import show_list, show_one
from cli.problems import CommandError, Usage
from cli.session import AsJson, Wait, Zone, every, session_of

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

    found = every(page)
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
    if from_:
        source = find.target_of(find.instance(api, from_))
    elif isinstance(found.attachment, wire.Attachment):
        source = found.attachment.target
    else:
        raise CommandError(
            f"{found.address} is attached to nothing; use `godwit ip attach`", "ipam.flexible_ip.not_attached"
        )
    body = wire.Move(from_=source, to=find.target_of(find.instance(api, to)))
    _follow(api, answer(move_flexible_ip.sync_detailed(found.id, client=api.ipam, body=body)), wait, as_json)


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


def _labels(given: list[str] | None) -> dict[str, str]:
    labels = {}
    for text in given or []:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise Usage(f"label {text!r} is not KEY=VALUE")
        labels[key] = value
    return labels


def _target(target: wire.TargetRef | None) -> str | None:
    return f"{target.kind} {target.id}" if isinstance(target, wire.TargetRef) else None


def _holder(ip: wire.FlexibleIP, names: dict[UUID, str]) -> str:
    return " → ".join(names.get(held.target.id) or f"{_target(held.target)}" for held in find.attachments(ip))


def _follow(api: Connection, operation: wire.Operation, wait: bool, as_json: bool) -> None:
    if not wait:
        show_one(operation, {"operation": operation.id, "state": operation.state.value}, as_json)
        return
    waiting.wait(api, operation)
    _show(api, answer(get_flexible_ip.sync_detailed(waiting.resource_id(operation), client=api.ipam)), as_json)


def _show(api: Connection, ip: wire.FlexibleIP, as_json: bool) -> None:
    labels = ip.labels.additional_properties if isinstance(ip.labels, wire.Labels) else {}
    fields = {
        "address": ip.address,
        "state": ip.state.value,
        "attached to": "" if as_json else _holder(ip, find.holder_names(api, [ip])),
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
    if ip.interface_id:
        fields["guest takes"] = ip.interface_id
    if ip.quarantined_until:
        fields["free again"] = ip.quarantined_until
    show_one(ip, fields, as_json)
