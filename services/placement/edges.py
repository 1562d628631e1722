"""What the edges' kernels really do with an address: the fabric's own view of who has it."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from common.db import Database
from services.placement.agents import Agents
from services.placement.model import Prefix
from services.placement.store import nodes


class Edges:
    """Asks the edges of a zone. Raises Unavailable when one does not answer: unknown is not "no"."""

    def __init__(self, database: Database, agents: Agents) -> None:
        self._db = database
        self._agents = agents

    def all_send(self, zone: str, prefixes: Sequence[Prefix], to: UUID) -> bool:
        """Whether every edge sends all of `prefixes` to one node, and to nobody else."""
        return all(hops in here for hops, here in self._hops(zone, prefixes, to))

    def none_sends(self, zone: str, prefixes: Sequence[Prefix], to: UUID) -> bool:
        """Whether no edge sends any of `prefixes` to a node."""
        return not any(hops in here for hops, here in self._hops(zone, prefixes, to))

    def _hops(self, zone: str, prefixes: Sequence[Prefix], to: UUID) -> list[tuple[list[str], list[list[str]]]]:
        """For each edge and prefix: the next hops it uses, and what they are if they are the node's alone."""
        if not prefixes:
            return []
        with self._db.transaction() as tx:
            node = nodes.node(tx, to)
            edges = nodes.nodes_of_zone(tx, zone, "edge")
        here = [[str(node.endpoint)], [str(node.endpoint_ipv6)]] if node else []
        return [
            (route.next_hops, here)
            for edge in edges
            for route in self._agents.of(edge.id, edge.agent_url).edge_routes([str(prefix) for prefix in prefixes])
        ]
