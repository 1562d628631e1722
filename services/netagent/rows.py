"""Which rows concern a port or a prefix, and what is told of them. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import fields
from ipaddress import IPv4Network
from typing import Any
from uuid import UUID

from dataplane.entries import (
    Anchor,
    Blackhole,
    Entry,
    Fallback,
    Fence,
    Forward,
    GuardAddress,
    GuardPort,
    GuestAddress,
    HostNat,
    Inbound,
    Leg,
    Outbound,
)
from services.netagent import wire
from services.netagent.desired import Desired, RowKey, row_key
from services.netagent.render import link_name

SCANNED = (Anchor, Blackhole, Fence)
"""Tables whose keys name more than a port or prefix: what concerns one is found by reading the whole."""


def places(
    desired: Desired, tables: Collection[type[Any]], ports: Iterable[UUID], prefixes: Collection[wire.Prefix]
) -> set[RowKey]:
    """Where a row of these ports and prefixes is wanted in one of a node's `tables`, or would lie if it were."""
    found: set[RowKey] = set()
    asking = set[wire.EntryKey]()
    for prefix in prefixes:
        found |= {(Forward, prefix), (Fallback, prefix)}
        asking |= {wire.EntryKey(kind, wire.pack_prefix(prefix)) for kind in (wire.Kind.ADDRESS, wire.Kind.PREFIX)}
        if isinstance(prefix, IPv4Network) and prefix.prefixlen == 32:
            found |= {(Inbound, prefix.network_address), (Outbound, prefix.network_address)}
    for port in ports:
        link = link_name(port)
        found |= {(Leg, link), (GuardPort, link), (HostNat, link)}
        found |= {(GuardAddress, (link, prefix)) for prefix in prefixes}
        asking.update(desired.on_port(port))
    if Fence in tables:  # an edge, whose entries are few
        asking |= {key for key in desired.entries if key.kind in (wire.Kind.FENCE, wire.Kind.BLACKHOLE)}
    found |= {row_key(row) for key in asking for row in desired.rows(key) if concerns(row, prefixes)}
    return {place for place in found if place[0] in tables}


def concerns(row: Entry, prefixes: Collection[wire.Prefix]) -> bool:
    match row:
        case GuestAddress():
            return row.address.network in prefixes
        case Blackhole():
            return any(row.prefix.version == one.version and row.prefix.overlaps(one) for one in prefixes)
        case Fence():
            return True
        case Anchor() | Forward() | Fallback() | GuardAddress():
            return row.prefix in prefixes
    return False


def told(wanted: Entry | None, seen: Entry | None, unreadable: str | None) -> wire.Row:
    """One of the two is there."""
    row = wanted or seen
    table = wire.Table(re.sub(r"(?<!^)(?=[A-Z])", "_", type(row).__name__).lower())
    return wire.Row(table=table, wanted=_fields(wanted), seen=_fields(seen), unreadable=unreadable)


def _fields(row: Entry | None) -> dict[str, str] | None:
    if row is None:
        return None
    return {field.name: str(getattr(row, field.name)) for field in fields(row) if field.compare}
