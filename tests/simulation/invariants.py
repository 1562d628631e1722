"""What must hold after every event, whatever goes wrong; and what must be true in the end."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from uuid import UUID

from dataplane.entries import Fallback, Inbound, Leg
from dataplane.memory import World
from services.netagent.render import link_name
from services.placement.snapshot import Prefix
from tests.simulation.agents import Agent
from tests.simulation.conversions import Conversions
from tests.simulation.ledger import carried_id


class Broken(AssertionError):
    """A promise was broken; `rule` names which."""

    def __init__(self, rule: str, text: str) -> None:
        super().__init__(f"{rule}: {text}")
        self.rule = rule


@dataclass
class Seen:
    """A node's kernel as it was last looked at."""

    anchors: dict[Prefix, int] = field(default_factory=dict)
    forwards: dict[Prefix, str] = field(default_factory=dict)


@dataclass
class Invariants:
    """Looks at the kernels that changed, and at what they touch."""

    controller: Conversions
    checks: int = 0
    rerouted: bool = False  # the fabric has changed since the last look
    _dirty: dict[UUID, Agent] = field(default_factory=dict)
    _seen: dict[UUID, Seen] = field(default_factory=dict)
    _sequences: dict[Prefix, int] = field(default_factory=dict)
    _announced: dict[tuple[UUID, Prefix], int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        ledger = self.controller.ledger
        self._addresses: dict[Prefix, UUID] = {}
        self._public: dict[object, UUID] = {}
        self._networks: dict[IPv4Address, IPv4Network] = {}
        self._names: dict[str, Agent] = {}
        self._ledger = ledger

    def know(self, prefix: Prefix, fip: UUID) -> None:
        """A flexible IP of the pools."""
        self._addresses[prefix] = fip
        self._public[prefix.network_address] = fip

    def _is_the_ledgers(self, prefix: Prefix) -> bool:
        """Whether it is a flexible IP: of the pools, or carried and handed over."""
        rows = self.controller.rows
        if prefix not in self._addresses and prefix in rows.carried and rows.node_bound[prefix][1] is None:
            self.know(prefix, carried_id(prefix))
        return prefix in self._addresses

    def touched(self, agent: Agent) -> None:
        self._dirty[agent.id] = agent
        self._names[agent.name] = agent

    def check(self) -> None:
        """After every event; costs what changed."""
        if not self._dirty and not self.rerouted:
            return
        self.checks += 1
        self.rerouted = False
        changed: dict[Prefix, None] = {}
        gateways = []
        for agent in self._dirty.values():
            if agent.role == "hypervisor":
                changed.update(dict.fromkeys(self._look(agent)))
            elif agent.role == "gateway":
                gateways.append(agent)
        self._dirty.clear()
        for prefix in changed:
            if self._is_the_ledgers(prefix):
                self._one_target(prefix)
                self._one_preferred(prefix)
                self._sequence_rises(prefix)
            else:
                self._one_holder(prefix)
        if changed:
            self._no_black_hole()
        for agent in gateways:
            self._mapped_right(agent)
        if (loss := self.controller.paths.loss()) is not None:
            raise Broken("packets lost", loss)

    def _look(self, agent: Agent) -> list[Prefix]:
        """Take a hypervisor's tables in; the prefixes whose rows differ from before."""
        before = self._seen.get(agent.id, Seen())
        now = Seen({}, {row.prefix: row.link for row in agent.forwards()})
        for anchor in agent.anchors():
            now.anchors[anchor.prefix] = max(anchor.sequence, now.anchors.get(anchor.prefix, 0))
        self._seen[agent.id] = now
        changed = [prefix for prefix, link in now.forwards.items() if before.forwards.get(prefix) != link]
        for prefix, sequence in now.anchors.items():
            if before.anchors.get(prefix) != sequence:
                changed.append(prefix)
                if self._announced.get((agent.id, prefix), 0) > sequence:
                    raise Broken("sequence", f"{agent.name} announces {prefix} with {sequence} after a higher one")
                self._announced[agent.id, prefix] = sequence
        if len(now.anchors) < len(before.anchors) or len(now.forwards) < len(before.forwards):
            changed += [prefix for prefix in before.anchors if prefix not in now.anchors]
            changed += [prefix for prefix in before.forwards if prefix not in now.forwards]
        return changed or list(now.anchors)[:1]  # a leg may have changed alone

    # --- at any time -------------------------------------------------------------------------------------------------

    def _one_target(self, prefix: Prefix) -> None:
        """An address is programmed for one target at a time, over all kernels."""
        links = {seen.forwards[prefix] for seen in self._seen.values() if prefix in seen.forwards}
        if len(links) > 1:
            raise Broken("two targets", f"{prefix} goes to {sorted(links)}")
        tied = self._ledger.tied(self._addresses[prefix])
        if links and tied is not None and links != {link_name(tied)}:
            raise Broken("two targets", f"{prefix} goes to {sorted(links)}, the ledger says {tied}")
        if links and tied is None:
            raise Broken("two targets", f"{prefix} goes to {sorted(links)} and the ledger thinks it is free")
        if not links and tied is None and any(prefix in seen.anchors for seen in self._seen.values()):
            raise Broken("two targets", f"{prefix} is announced and the ledger thinks it is free")

    def _one_preferred(self, prefix: Prefix) -> None:
        found = [(seen.anchors[prefix], node) for node, seen in self._seen.items() if prefix in seen.anchors]
        best = max(found, default=(0, None))[0]
        if sum(sequence == best for sequence, _ in found) > 1:
            names = sorted(self.controller.agents[node].name for _, node in found)
            raise Broken("two preferred", f"{prefix} is announced with {best} by {names}")

    def _one_holder(self, prefix: Prefix) -> None:
        """A node-bound address given to one port is in no kernel as another's."""
        holder = self.controller.rows.node_bound.get(prefix)
        links = {seen.forwards[prefix] for seen in self._seen.values() if prefix in seen.forwards}
        rightful = {link_name(holder[1])} if holder is not None and holder[1] is not None else links
        if len(links) > 1 or (links and links != rightful):
            raise Broken("two holders", f"{prefix} goes to {sorted(links)}, given to {holder}")

    def _no_black_hole(self) -> None:
        """Who announces an address can bring a packet to the guest.

        Not asked of a node that was disturbed, nor of an address that is on its way to or from its target.
        """
        world = next(iter(self.controller.agents.values())).kernel.world
        for node, seen in self._seen.items():
            agent = self.controller.agents[node]
            if agent.disturbed:
                continue
            for prefix in seen.anchors:
                if prefix not in self._addresses:
                    continue
                hole = self._hole(agent, seen, prefix, world)
                if hole is not None and self._ledger.flexible_ips[self._addresses[prefix]].state == "attached":
                    raise Broken("black hole", f"{agent.name} announces {prefix}{hole}")

    def _hole(self, agent: Agent, seen: Seen, prefix: Prefix, world: World) -> str | None:
        """Why a packet for `prefix` would be lost at `agent`; None if it would not, or nobody could help it."""
        link = seen.forwards.get(prefix)
        leg = agent.kernel.table(Leg).get(link)
        if link is None or leg is None:
            return " and cannot forward it"
        heard = world.hears.get(leg.guest)
        if heard == (agent.name, link):
            return None
        fallback = agent.kernel.table(Fallback).get(prefix)
        peer = self._at(fallback.peer) if fallback else None
        involved = [self._names[name] for name, _ in world.legs.get(leg.guest, ())] + ([peer] if peer else [])
        if any(other.disturbed for other in involved) or (heard is None and any(other.lost_legs for other in involved)):
            return None
        if peer is None or heard is None or heard[0] != peer.name:
            return f", whose guest is at {heard}"
        if prefix not in self._seen.get(peer.id, Seen()).forwards:
            return f", whose guest is at {peer.name}, which cannot forward it"
        return None

    def _at(self, endpoint: IPv4Address) -> Agent:
        return next(self.controller.agents[n.id] for n in self.controller.rows.nodes.values() if n.endpoint == endpoint)

    def _sequence_rises(self, prefix: Prefix) -> None:
        sequenced = self.controller.rows.sequences.get(prefix)
        if sequenced is None:
            return
        if self._sequences.get(prefix, 0) > sequenced.current:
            raise Broken("sequence", f"that of {prefix} fell to {sequenced.current}")
        self._sequences[prefix] = sequenced.current

    def _mapped_right(self, gateway: Agent) -> None:
        """A public address leads to a private one of its own target, never to one that another port holds."""
        rows = self.controller.rows
        for row in gateway.kernel.table(Inbound).values():
            fip = self._public.get(row.public)
            if fip is None:
                continue
            tied, held = self._ledger.tied(fip), rows.node_bound.get(self._private(row.private))
            if tied is None or (held is not None and held[1] != tied):
                raise Broken("wrong tenant", f"{gateway.name} maps {row.public} to {row.private} of {held}, not {tied}")

    def _private(self, address: IPv4Address) -> IPv4Network:
        if address not in self._networks:
            self._networks[address] = IPv4Network(address)
        return self._networks[address]

    def untouched(self) -> None:
        """What a settled port has, its node holds: nothing goes that nobody asked to remove."""
        rows = self.controller.rows
        for port in rows.ports.values():
            if port.node is None or port.id in rows.claims or rows.pending(port.id):
                continue
            agent = self.controller.agents[port.node]
            if agent.disturbed:
                continue
            if link_name(port.id) not in agent.kernel.table(Leg):
                raise Broken("withdrawn unasked", f"{port.name} runs on {agent.name}, which has no leg of it")
            if port.mode == "routed":
                for address in port.addresses:
                    if address.prefix not in self._seen[agent.id].anchors:
                        raise Broken("withdrawn unasked", f"{agent.name} does not announce {address.prefix}")
