"""From what a person types, a name, an id or an address, to the resource that is meant."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from ipaddress import ip_interface
from typing import Any, Protocol, TypeVar
from uuid import UUID

from godwit_client import Connection, Refused, answer, every
from godwit_client.ipam import models as ipam
from godwit_client.ipam.api.flexible_ips import get_flexible_ip, list_flexible_ips
from godwit_client.ipam.api.pools import get_pool, list_pools
from godwit_client.placement import models as placement
from godwit_client.placement.api.instances import get_instance, list_instances
from godwit_client.placement.api.nodes import get_node, list_nodes
from godwit_client.placement.api.zones import list_zones

from cli.problems import Ambiguous, NotFound, Usage


class Identified(Protocol):
    id: UUID


FEW = 3
"""So many instances are asked for one by one, more are looked for in the list of all."""

T = TypeVar("T", bound=Identified)
R = TypeVar("R")


def as_uuid(text: str) -> UUID | None:
    """`text` as an id, if it is one in its usual form."""
    try:
        return UUID(text) if len(text) == 36 else None
    except ValueError:
        return None


def as_address(text: str) -> str | None:
    """`text` if it is an IP address or prefix."""
    try:
        ip_interface(text)
    except ValueError:
        return None
    return text


def only(found: Iterable[T], what: str, name: str, hint: str = "") -> T:
    """The one thing that was found. Raises NotFound, Ambiguous."""
    items = list(found)
    if not items:
        raise NotFound(what, name, hint)
    if len(items) > 1:
        raise Ambiguous(what, name, [str(item.id) for item in items])
    return items[0]


def known(get: Callable[[], R], what: str, name: str) -> R:
    """What `get` answers; a 404 in the words that the person used. Raises NotFound, Refused."""
    try:
        return get()
    except Refused as error:
        if error.status == 404:
            raise NotFound(what, name) from error
        raise


def flexible_ip(api: Connection, text: str) -> ipam.FlexibleIP:
    """By id, address or name; one that was released only if no other bears the name. Raises NotFound, Ambiguous."""
    uuid = as_uuid(text)
    if uuid:
        return known(lambda: answer(get_flexible_ip.sync_detailed(uuid, client=api.ipam)), "address", text)
    address = as_address(text)
    name = None if address else text

    def page(cursor: str | None) -> ipam.FlexibleIPPage:
        return answer(list_flexible_ips.sync_detailed(client=api.ipam, cursor=cursor, address=address, name=name))

    found = list(every(page))
    held = [ip for ip in found if ip.state is not ipam.FlexibleIPState.QUARANTINED]
    return only(held or found, "address", text, "; `godwit ip list` shows yours")


def instance(api: Connection, text: str) -> placement.Instance:
    """By id, name, or one of its addresses. Raises NotFound, Ambiguous."""
    uuid = as_uuid(text)
    if uuid:
        return known(lambda: answer(get_instance.sync_detailed(uuid, client=api.placement)), "instance", text)
    if as_address(text):
        held_by = flexible_ip(api, text).attachment
        if not isinstance(held_by, ipam.Attachment) or held_by.target.kind != "instance":
            raise NotFound("instance", text, ": the address is attached to none")
        return answer(get_instance.sync_detailed(held_by.target.id, client=api.placement))

    def page(cursor: str | None) -> placement.InstancePage:
        return answer(list_instances.sync_detailed(client=api.placement, cursor=cursor, name=text))

    return only(every(page), "instance", text, "; `godwit instance list` shows yours")


def node(api: Connection, text: str, role: placement.NodeRole | None) -> placement.Node:
    """By id or name, of a role; None: of any. Raises NotFound, Ambiguous."""
    what = role.value if role else "node"
    uuid = as_uuid(text)
    if uuid:
        return known(lambda: answer(get_node.sync_detailed(uuid, client=api.placement)), what, text)

    def page(cursor: str | None) -> placement.NodePage:
        return answer(list_nodes.sync_detailed(client=api.placement, cursor=cursor, name=text, role=role))

    return only(every(page), what, text, f"; `godwit {what} list` shows all")


def nodes(api: Connection) -> list[placement.Node]:
    """All of them."""
    return list(every(lambda cursor: answer(list_nodes.sync_detailed(client=api.placement, cursor=cursor))))


def pool(api: Connection, text: str) -> ipam.Pool:
    """By id or name. Raises NotFound, Ambiguous."""
    uuid = as_uuid(text)
    if uuid:
        return known(lambda: answer(get_pool.sync_detailed(uuid, client=api.ipam)), "pool", text)

    def page(cursor: str | None) -> ipam.PoolPage:
        return answer(list_pools.sync_detailed(client=api.ipam, cursor=cursor, name=text))

    return only(every(page), "pool", text, "; `godwit pool list` shows all")


def zone_name(api: Connection, given: str | None) -> str:
    """The zone that was named, or the only one. Raises Usage where there are several."""
    if given:
        return given
    names = [zone.name for zone in every(lambda cursor: zones_page(api, cursor))]
    if len(names) != 1:
        raise Usage(f"say --zone; there are {', '.join(names) or 'none yet'}", "zone.not_given")
    return str(names[0])


def zones_page(api: Connection, cursor: str | None) -> placement.ZonePage:
    return answer(list_zones.sync_detailed(client=api.placement, cursor=cursor))


def target_of(instance_found: placement.Instance) -> ipam.TargetRef:
    return ipam.TargetRef(kind="instance", id=instance_found.id)


def holder_names(api: Connection, addresses: list[ipam.FlexibleIP]) -> dict[UUID, str]:
    """Names of the instances that `addresses` are attached to, or may go to; one that is gone is left out."""
    ties = [held.target for one in addresses for held in attachments(one)]
    ties += [candidate.target for one in addresses for candidate in one.candidates or []]
    wanted = {target.id for target in ties if target.kind == "instance"}
    if len(wanted) <= FEW:
        return {found.id: found.name for one in wanted if (found := _instance_of(api, one)) is not None}

    def page(cursor: str | None) -> placement.InstancePage:
        return answer(list_instances.sync_detailed(client=api.placement, cursor=cursor, limit=500))

    return {found.id: found.name for found in every(page) if found.id in wanted}


def _instance_of(api: Connection, instance_id: UUID) -> placement.Instance | None:
    try:
        return answer(get_instance.sync_detailed(instance_id, client=api.placement))
    except Refused as error:
        if error.status == 404:
            return None
        raise


def attachments(address: ipam.FlexibleIP) -> list[ipam.Attachment]:
    """Where it is attached, and where it is going."""
    held: list[Any] = [address.attachment, address.next_attachment]
    return [one for one in held if isinstance(one, ipam.Attachment)]
