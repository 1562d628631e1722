"""The fabric: hears what hypervisors announce, late, and prefers the highest sequence."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from uuid import UUID

from services.placement.snapshot import Prefix
from tests.simulation.agents import Agent
from tests.simulation.engine import Engine

DETECTION_S = 0.15  # three lost hellos of a session


@dataclass
class Fabric:
    """What the edge's kernel makes of the announcements. `cut`: nodes whose sessions say nothing any more."""

    engine: Engine
    changed: Callable[[Iterable[Prefix]], None]
    cut: set[UUID] = field(default_factory=set)
    twice: dict[Prefix, UUID] = field(default_factory=dict)  # what another node is seen to announce too
    fenced: set[UUID] = field(default_factory=set)  # nodes whose link the edge holds down
    blackholes: set[tuple[UUID, Prefix]] = field(default_factory=set)  # what it drops from and to a node's link
    _seen: dict[UUID, dict[Prefix, int]] = field(default_factory=dict)
    _due: set[UUID] = field(default_factory=set)

    def touched(self, agent: Agent) -> None:
        """The node's announcements may have changed; the fabric will hear of it."""
        if agent.role != "hypervisor" or agent.id in self._due:
            return
        self._due.add(agent.id)
        random = self.engine.random
        delay = random.uniform(0.002, 0.05) if random.random() < 0.9 else random.uniform(0.05, 2.0)
        self.engine.after(delay, f"fabric hears {agent.name}", lambda: self._hear(agent))

    def _hear(self, agent: Agent) -> None:
        self._due.discard(agent.id)
        if agent.id in self.cut or agent.id in self.fenced:
            return
        heard: dict[Prefix, int] = {}
        for anchor in agent.anchors():
            heard[anchor.prefix] = max(anchor.sequence, heard.get(anchor.prefix, 0))
        self._learn(agent, heard)

    def hold_apart(self, fenced: set[UUID], agents: Mapping[UUID, Agent]) -> None:
        """The edge's links to these nodes are down, and to no others: no route by them is left."""
        before, self.fenced = self.fenced, fenced
        for node in fenced - before:
            self._learn(agents[node], {})
        for node in before - fenced:
            self.touched(agents[node])

    def sever(self, agent: Agent, *, noticed: bool) -> None:
        """No word passes any more; if it is `noticed`, the node's routes are dropped, else they go stale."""
        self.cut.add(agent.id)
        if noticed:
            self.engine.after(DETECTION_S, f"fabric misses {agent.name}", lambda: self._miss(agent))

    def _miss(self, agent: Agent) -> None:
        if agent.id in self.cut:
            self._learn(agent, {})

    def _learn(self, agent: Agent, heard: dict[Prefix, int]) -> None:
        before = self._seen.get(agent.id, {})
        if heard != before:
            self._seen[agent.id] = heard
            self.changed([prefix for prefix in before.keys() | heard.keys() if before.get(prefix) != heard.get(prefix)])

    def mend(self, agent: Agent) -> None:
        self.cut.discard(agent.id)
        self.touched(agent)

    def next_hops(self, prefix: Prefix) -> list[UUID]:
        """Where the edge sends a prefix: best route only, several if they are equally good."""
        found = {node: heard[prefix] for node, heard in self._seen.items() if prefix in heard}
        best = max(found.values(), default=0)
        if prefix in self.twice and found:
            found[self.twice[prefix]] = best
        return sorted(node for node, sequence in found.items() if sequence == best)

    def stale(self, prefix: Prefix, agents: Iterable[Agent]) -> bool:
        """Whether one of `agents` announces a prefix no more, and the fabric has yet to hear of it."""
        heard = [agent for agent in agents if prefix in self._seen.get(agent.id, {})]
        return any(all(anchor.prefix != prefix for anchor in agent.anchors()) for agent in heard)

    def towards(self, private: IPv4Address) -> list[UUID]:
        """Where what is for a node-bound address goes: to who announces it, or else to the node of its prefix."""
        exact = self.next_hops(IPv4Network(private))
        within = (node for node, heard in self._seen.items() if any(private in prefix for prefix in heard))
        return exact or sorted(within)

    def lookup(self, prefixes: Iterable[Prefix]) -> list[list[UUID]]:
        return [self.next_hops(prefix) for prefix in prefixes]
