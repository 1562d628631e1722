"""What the database says of one address, and of the nodes that have to do with it. Reads only."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from ipaddress import ip_address
from uuid import UUID

from sqlalchemy import and_, or_, select

from common.db import Transaction
from services.netagent import wire
from services.placement.model import (
    AddressFence,
    Instance,
    Node,
    NodeAddress,
    NodeEntry,
    Port,
    PortAddress,
    Prefix,
    ZonePrefix,
)


def attached(tx: Transaction, prefix: Prefix) -> tuple[PortAddress, str] | None:
    """A port's flexible IP which is `prefix` or covers it, and its zone."""
    query = select(PortAddress, Instance.zone).join(Port, Port.id == PortAddress.port_id)
    query = query.join(Instance, Instance.id == Port.target_id).where(PortAddress.prefix.op(">>=")(prefix))
    found = tx.session.execute(query.order_by(PortAddress.prefix.desc())).first()
    return (found[0], found[1]) if found else None


def node_bound(tx: Transaction, prefix: Prefix, zone: str | None) -> list[NodeAddress]:
    """The address bound to a node which is `prefix` or covers it, in each zone."""
    query = select(NodeAddress).where(NodeAddress.prefix.op(">>=")(prefix))
    return list(tx.session.scalars(query.where(NodeAddress.zone == zone) if zone else query))


def covering(tx: Transaction, prefixes: Collection[Prefix], zone: str | None) -> list[tuple[Node, Prefix, Prefix]]:
    """The nodes whose own prefix covers one of `prefixes`: the node, its prefix, and which of them."""
    found = []
    for prefix in prefixes:
        for column in (Node.private_prefix, Node.legacy_prefix):
            query = select(Node).where(column.op(">>=")(prefix))
            for node in tx.session.scalars(query.where(Node.zone == zone) if zone else query):
                own = node.private_prefix if column is Node.private_prefix else node.legacy_prefix
                found += [(node, own, prefix)] if own is not None else []
    return found


def zone_prefixes(tx: Transaction, prefix: Prefix, zone: str | None) -> list[ZonePrefix]:
    """The prefixes of zones' pools that cover `prefix`."""
    query = select(ZonePrefix).where(ZonePrefix.prefix.op(">>=")(prefix))
    return list(tx.session.scalars(query.where(ZonePrefix.zone == zone) if zone else query))


def held(tx: Transaction, port_id: UUID) -> dict[UUID, list[wire.Entry]]:
    """What each node is to hold of a port."""
    found: dict[UUID, list[wire.Entry]] = {}
    for row in tx.session.scalars(select(NodeEntry).where(NodeEntry.owner == port_id, ~NodeEntry.removed)):
        found.setdefault(row.node_id, []).append(wire.unpack(row.kind, row.key, row.value))
    return found


def nodes(tx: Transaction, zone: str, ids: Collection[UUID]) -> list[Node]:
    """The edges and gateways of a zone, and these nodes."""
    others = and_(Node.zone == zone, Node.role != "hypervisor")
    return list(tx.session.scalars(select(Node).where(or_(Node.id.in_(ids), others)).order_by(Node.name)))


def by_hop(tx: Transaction, hops: Sequence[str]) -> list[Node]:
    """The nodes that next hops are addresses of."""
    known = [ip_address(hop) for hop in hops]
    ipv4, ipv6 = ([one for one in known if one.version == version] for version in (4, 6))
    return list(tx.session.scalars(select(Node).where(or_(Node.endpoint.in_(ipv4), Node.endpoint_ipv6.in_(ipv6)))))


def fenced_from(tx: Transaction, prefix: Prefix) -> set[UUID]:
    """The nodes that the edges hold an address apart from."""
    query = select(AddressFence.node_id).where(AddressFence.key == wire.pack_prefix(prefix), AddressFence.realized)
    return set(tx.session.scalars(query))
