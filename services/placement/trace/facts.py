"""What is known of an address when it is judged: by the ledger, the controller, and by the nodes' kernels. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Network, IPv6Network, ip_interface, ip_network
from uuid import UUID

from services.netagent import wire

Prefix = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class Held:
    """A flexible IP as the ledger has it, times in ISO 8601. `frozen_since`: by the flap guard of failovers."""

    state: str
    frozen_since: str | None = None
    quarantined_until: str | None = None


@dataclass(frozen=True, slots=True)
class Node:
    """A node as the controller knows it, and what it must hold of the port."""

    id: UUID
    name: str
    role: str
    url: str  # of its agent
    known_by: frozenset[str]  # its addresses in the fabric: next hops of routes, ends of its links to the edge
    applied: int  # the generation its agent last confirmed
    fence: bool = False  # it is to be held apart
    fenced: bool = False  # the edges hold it apart
    behind: bool = False  # it has not read back what it must hold, or withdraw, of the port
    failure: str | None = None  # what its kernel refused, or why its agent does not take what it is sent
    entries: tuple[wire.Entry, ...] = ()


@dataclass(frozen=True, slots=True)
class Claim:
    """The Operation that is changing the port."""

    kind: str
    step: str
    operation: str
    waits: str | None  # for what, in words


@dataclass(frozen=True, slots=True)
class Port:
    """The port that has the address. `node`: where it runs; None while archived."""

    id: UUID
    name: str  # of its instance
    mode: str
    node: UUID | None
    claim: Claim | None = None


@dataclass(frozen=True, slots=True)
class Intent:
    """What the database says of one address and of who has to do with it.

    `ledger` is None for an address that is bound to a node, or free; `silent`: why the ledger did not say. `private`:
    the port's node-bound addresses of the family, beside the address. `homes`: the node whose own prefix covers the
    address, or a private one.
    """

    prefix: Prefix
    zone: str
    ledger: Held | None = None
    silent: str | None = None
    port: Port | None = None
    nodes: Mapping[UUID, Node] = field(default_factory=dict)
    private: tuple[Prefix, ...] = ()
    homes: Mapping[Prefix, UUID] = field(default_factory=dict)
    covering: tuple[Prefix, ...] = ()  # prefixes announced whole that the address, or a private one, is in
    fenced_from: frozenset[UUID] = frozenset()  # nodes that the edges hold the address apart from

    def of_role(self, role: str) -> list[Node]:
        return [node for node in self.nodes.values() if node.role == role]

    def announcers(self, prefix: Prefix) -> dict[UUID, int]:
        """The nodes that are to announce a prefix, with their sequences."""
        return {
            node.id: entry.sequence
            for node in self.nodes.values()
            for entry in node.entries
            if isinstance(entry, wire.Address | wire.HostNat) and entry.sequence > 0 and _of(entry) == prefix
        }

    def mapping(self) -> list[Node]:
        """The gateways that are to map the address inwards."""
        return [
            node
            for node in self.of_role("gateway")
            if any(isinstance(e, wire.Inbound) and IPv4Network(e.public) == self.prefix for e in node.entries)
        ]

    def mapped_to(self) -> set[Prefix]:
        return {
            IPv4Network(entry.private)
            for node in self.mapping()
            for entry in node.entries
            if isinstance(entry, wire.Inbound) and IPv4Network(entry.public) == self.prefix
        }

    def holders(self, prefix: Prefix) -> set[UUID]:
        """The nodes that are to get what is for a prefix: who announces it, whose own it is in, or who maps it."""
        home = {self.homes[prefix]} if prefix in self.homes else set()
        return {*self.announcers(prefix)} or home or {node.id for node in self.mapping() if prefix == self.prefix}

    def concerns(self, node: Node) -> bool:
        """Whether a node has to do with the address, rather than being asked in case."""
        return bool(node.entries) or node.behind or node.id in self.homes.values() or node.role == "edge"

    def seats(self) -> list[Node]:
        """The hypervisors that are to hold the port."""
        return [node for node in self.nodes.values() if any(isinstance(entry, wire.Port) for entry in node.entries)]


def _of(entry: wire.Address | wire.HostNat) -> Prefix:
    return entry.prefix if isinstance(entry, wire.Address) else IPv4Network(entry.public)


@dataclass(frozen=True, slots=True)
class Reality:
    """What was read back. Who did not answer is in `silent`, with why."""

    routes: Mapping[UUID, Mapping[Prefix, Sequence[str]]] = field(default_factory=dict)  # next hops, by edge
    rows: Mapping[UUID, wire.Rows] = field(default_factory=dict)
    silent: Mapping[UUID, str] = field(default_factory=dict)
    passers_by: Mapping[UUID, Node] = field(default_factory=dict)  # nodes that edges send to, and nobody expected

    def of(self, node: UUID, *tables: wire.Table) -> Iterator[wire.Row]:
        """The rows of a node in some tables."""
        found = self.rows.get(node)
        return (row for row in (found.rows if found else ()) if row.table in tables)

    def about(self, prefixes: Collection[Prefix]) -> Reality:
        """The same without rows of other prefixes."""
        return replace(
            self,
            rows={
                node: rows.model_copy(update={"rows": [row for row in rows.rows if _is_about(row, prefixes)]})
                for node, rows in self.rows.items()
            },
        )


def _is_about(row: wire.Row, prefixes: Collection[Prefix]) -> bool:
    match row.table:
        case wire.Table.LEG | wire.Table.GUARD_PORT | wire.Table.FENCE:
            return True
        case wire.Table.INBOUND | wire.Table.OUTBOUND | wire.Table.HOST_NAT:
            ends = {field_of(row, "public"), field_of(row, "private")}
            return any(str(prefix.network_address) in ends for prefix in prefixes if prefix.version == 4)
        case wire.Table.BLACKHOLE:
            held = ip_network(field_of(row, "prefix") or "")
            return any(held.version == one.version and held.overlaps(one) for one in prefixes)
        case wire.Table.GUEST_ADDRESS:
            return ip_interface(field_of(row, "address") or "").network in prefixes
    return prefix_of(row) in {str(prefix) for prefix in prefixes}


def field_of(row: wire.Row, name: str) -> str | None:
    """A field of a row, the same as wanted and as seen if both are there."""
    return (row.wanted or row.seen or {}).get(name)


def prefix_of(row: wire.Row) -> str | None:
    """The prefix that a row is about, as text; None: it is about a port or a node."""
    match row.table:
        case wire.Table.INBOUND:
            return f"{field_of(row, 'public')}/32"
        case wire.Table.OUTBOUND:
            return f"{field_of(row, 'private')}/32"
    return field_of(row, "prefix")
