"""What must hold after every event, whatever goes wrong; and what must be true in the end."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from uuid import UUID

from dataplane.entries import Anchor, Blackhole, Fallback, Fence, Forward, HostNat, Inbound, Leg, Outbound
from dataplane.memory import World
from services.ipam.model import FlexibleIP
from services.netagent.render import link_name
from services.placement.move import Kind
from services.placement.snapshot import Prefix
from tests.simulation.agents import Agent
from tests.simulation.fleet import Fleet
from tests.simulation.ledger import carried_id

HOST_BITS = {32, 64}  # prefixes of guests; others are of nodes and pools


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
class Touched:
    """What has changed since the last look: links of guests, and prefixes by their first address."""

    links: set[str] = field(default_factory=set)
    addresses: set[int] = field(default_factory=set)
    everything: bool = False

    def take(self, agent: Agent) -> bool:
        """Take in what an agent has written, or another hand has done to its kernel; whether routes may have changed.

        A link takes its routes with it.
        """
        self.everything |= agent.overhauled
        routes = agent.overhauled or any(isinstance(row, Anchor | Forward | Leg) for row in agent.written)
        for row in agent.written:
            match row:
                case Anchor() | Forward() | Fallback():
                    self.addresses.add(int(row.prefix.network_address))
                case Inbound():
                    self.addresses.add(int(row.public))
                case Outbound():
                    self.addresses.add(int(row.private))
                case Leg() | HostNat():
                    self.links.add(row.link)
                case Fence() | Blackhole():
                    self.everything = True
        agent.written.clear()
        agent.overhauled = False
        return routes

    def concerns(self, link: str, prefixes: Iterable[Prefix]) -> bool:
        if self.everything or link in self.links:
            return True
        return not self.addresses.isdisjoint([int(prefix.network_address) for prefix in prefixes])


@dataclass
class Invariants:
    """Looks at the kernels that changed, and at what they touch."""

    controller: Fleet
    checks: int = 0
    _rerouted: set[Prefix] = field(default_factory=set)
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
            if carried_id(prefix) not in self._ledger.flexible_ips:  # its port went before it was adopted
                return False
            self.know(prefix, carried_id(prefix))
        return prefix in self._addresses

    def touched(self, agent: Agent) -> None:
        self._dirty[agent.id] = agent
        self._names[agent.name] = agent

    def rerouted(self, prefixes: Iterable[Prefix]) -> None:
        """The fabric sends what is for them elsewhere."""
        self._rerouted.update(prefixes)

    def check(self) -> None:
        """After every event; costs what changed."""
        if not self._dirty and not self._rerouted:
            return
        self.checks += 1
        changed: dict[Prefix, None] = {}
        gateways = []
        touched = Touched(addresses={int(prefix.network_address) for prefix in self._rerouted})
        touched.everything = any(prefix.prefixlen not in HOST_BITS for prefix in self._rerouted)
        self._rerouted.clear()
        for agent in self._dirty.values():
            routes = touched.take(agent)
            if agent.role == "hypervisor" and routes:
                changed.update(dict.fromkeys(self._look(agent)))
            elif agent.role == "gateway":
                gateways.append(agent)
        self._dirty.clear()
        if touched.everything:
            changed.update(
                dict.fromkeys(prefix for seen in self._seen.values() for prefix in (*seen.anchors, *seen.forwards))
            )
        for prefix in changed:
            if self._is_the_ledgers(prefix):
                self._one_target(prefix)
                self._one_preferred(prefix)
                self._sequence_rises(prefix)
            else:
                self._one_holder(prefix)
        self._no_black_hole(touched, changed)
        for agent in gateways:
            if agent.id not in self.controller.fabric.fenced:
                self._mapped_right(agent)
        if (loss := self.controller.paths.loss(touched.concerns)) is not None:
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
        return changed

    # --- at any time -------------------------------------------------------------------------------------------------

    def _heard(self, prefix: Prefix) -> dict[UUID, Seen]:
        """The nodes that the edge holds apart neither wholly nor for this address."""
        fabric = self.controller.fabric
        if not fabric.fenced and not fabric.blackholes:
            return self._seen
        return {
            node: seen
            for node, seen in self._seen.items()
            if node not in fabric.fenced and (node, prefix) not in fabric.blackholes
        }

    def _one_target(self, prefix: Prefix) -> None:
        """An address is programmed for one target at a time, over all kernels that the edge does not hold apart."""
        heard = self._heard(prefix).values()
        links = {seen.forwards[prefix] for seen in heard if prefix in seen.forwards}
        if len(links) > 1:
            raise Broken("two targets", f"{prefix} goes to {sorted(links)}")
        tied = self._ledger.tied(self._addresses[prefix])
        if links and tied is not None and links != {link_name(tied)}:
            raise Broken("two targets", f"{prefix} goes to {sorted(links)}, the ledger says {tied}")
        if links and tied is None:
            raise Broken("two targets", f"{prefix} goes to {sorted(links)} and the ledger thinks it is free")
        if not links and tied is None and any(prefix in seen.anchors for seen in heard):
            raise Broken("two targets", f"{prefix} is announced and the ledger thinks it is free")

    def _one_preferred(self, prefix: Prefix) -> None:
        found = [(seen.anchors[prefix], node) for node, seen in self._heard(prefix).items() if prefix in seen.anchors]
        best = max(found, default=(0, None))[0]
        if sum(sequence == best for sequence, _ in found) > 1:
            names = sorted(self.controller.agents[node].name for _, node in found)
            raise Broken("two preferred", f"{prefix} is announced with {best} by {names}")

    def _one_holder(self, prefix: Prefix) -> None:
        """A node-bound address given to one port is in no kernel as another's."""
        holder = self.controller.rows.node_bound.get(prefix)
        links = {seen.forwards[prefix] for seen in self._heard(prefix).values() if prefix in seen.forwards}
        rightful = {link_name(holder[1])} if holder is not None and holder[1] is not None else links
        if len(links) > 1 or (links and links != rightful):
            raise Broken("two holders", f"{prefix} goes to {sorted(links)}, given to {holder}")

    def _no_black_hole(self, touched: Touched, changed: Collection[Prefix]) -> None:
        """Who announces an address can bring a packet to the guest.

        Not asked of a node that was disturbed, nor of an address that is on its way to or from its target, or
        evacuated with it.
        """
        world = next(iter(self.controller.agents.values())).kernel.world
        for node, seen in self._seen.items():
            agent = self.controller.agents[node]
            if agent.disturbed or node in self.controller.fabric.fenced:
                continue
            for prefix in seen.anchors:
                concerned = prefix in changed or touched.concerns(seen.forwards.get(prefix, ""), [prefix])
                if (
                    not concerned
                    or prefix not in self._addresses
                    or (node, prefix) in self.controller.fabric.blackholes
                ):
                    continue
                hole = self._hole(agent, seen, prefix, world)
                if hole is not None and self._is_served(self._ledger.flexible_ips[self._addresses[prefix]]):
                    raise Broken("black hole", f"{agent.name} announces {prefix}{hole}")

    def _is_served(self, fip: FlexibleIP) -> bool:
        """Whether an address is attached to a target that runs: what is evacuated is about to be started anew."""
        tied, controller = self._ledger.tied(fip.id), self.controller
        if tied is None or fip.state != "attached":
            return False
        if tied in controller.restarted and not controller.rows.pending(tied) and tied not in controller.rows.claims:
            controller.restarted.discard(tied)
        claim = controller.rows.claims.get(tied)
        return tied not in controller.restarted and (claim is None or claim.kind != Kind.EVACUATE)

    def _hole(self, agent: Agent, seen: Seen, prefix: Prefix, world: World) -> str | None:
        """Why a packet for `prefix` would be lost at `agent`; None if it would not, or nobody could help it."""
        link = seen.forwards.get(prefix)
        leg = agent.kernel.table(Leg).get(link)
        if link is None or leg is None:
            return " and cannot forward it"
        heard = world.hears.get(leg.guest)
        if heard == (agent.name, link) or (heard and self._names[heard[0]].id in self.controller.fabric.fenced):
            return None  # at home; or nowhere, until it is evacuated
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
            agent, node = self.controller.agents[port.node], rows.nodes[port.node]
            if agent.disturbed or node.fence or node.fenced:  # what it is to hold, it reads back before it is let in
                continue
            if link_name(port.id) not in agent.kernel.table(Leg):
                raise Broken("withdrawn unasked", f"{port.name} runs on {agent.name}, which has no leg of it")
            if port.mode == "routed":
                for address in port.addresses:
                    if address.prefix not in self._seen[agent.id].anchors:
                        raise Broken("withdrawn unasked", f"{agent.name} does not announce {address.prefix}")
