"""What the edges' kernels really do with an address: the fabric's own view of who has it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from common.db import Database
from services.placement.agents import Agents
from services.placement.model import Prefix
from services.placement.store import nodes


@dataclass(frozen=True, slots=True)
class EdgeView:
    """For each prefix the next hops that each edge of a zone uses, and those that each node is known by."""

    hops: Mapping[Prefix, Sequence[Sequence[str]]]
    known_by: Mapping[UUID, frozenset[str]]

    def knows(self, prefixes: Sequence[Prefix]) -> bool:
        """Whether the edges were asked for all of them."""
        return all(prefix in self.hops for prefix in prefixes)

    def all_send(self, prefixes: Sequence[Prefix], to: UUID) -> bool:
        """Whether every edge sends all of `prefixes` to one node, and to nobody else."""
        return all(
            len(used) == 1 and used[0] in self.known_by.get(to, frozenset())
            for prefix in prefixes
            for used in self.hops[prefix]
        )

    def any_sends(self, prefixes: Sequence[Prefix], to: UUID) -> bool:
        """Whether an edge sends one of `prefixes` to a node, alone or beside others."""
        return any(
            not self.known_by.get(to, frozenset()).isdisjoint(used) for prefix in prefixes for used in self.hops[prefix]
        )

    def shared(self, prefix: Prefix, by: UUID) -> bool:
        """Whether an edge sends `prefix` to that node and to another one too."""
        return any(
            len(used) > 1 and not self.known_by.get(by, frozenset()).isdisjoint(used) for used in self.hops[prefix]
        )


class Edges:
    """Asks the edges of a zone. Raises Unavailable when one does not answer: unknown is not "no"."""

    def __init__(self, database: Database, agents: Agents) -> None:
        self._db = database
        self._agents = agents

    def view(self, zone: str, prefixes: Sequence[Prefix], among: Collection[UUID]) -> EdgeView:
        """`among`: the nodes to be recognised."""
        if not prefixes:
            return EdgeView({}, {})
        with self._db.transaction() as tx:
            known = nodes.by_id(tx, among)
            edges = nodes.nodes_of_zone(tx, zone, "edge")
        hops: dict[Prefix, list[Sequence[str]]] = {prefix: [] for prefix in prefixes}
        for edge in edges:
            routes = self._agents.of(edge.id, edge.agent_url).edge_routes([str(prefix) for prefix in prefixes])
            for prefix, route in zip(prefixes, routes, strict=True):
                hops[prefix].append(route.next_hops)
        known_by = {node.id: frozenset({str(node.endpoint), str(node.endpoint_ipv6)}) for node in known}
        return EdgeView(hops, known_by)
