"""Where a packet goes by what kernels and fabric hold now: to a guest behind a public address, and back.

A guest behind the central NAT, or its own hypervisor's, keeps some way in and some way out at every moment of its
conversion; and what is on its way by a gateway when the path changes still finds its mapping there.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from typing import NamedTuple
from uuid import UUID

from dataplane.entries import Forward, HostNat, Inbound, Outbound
from services.netagent.render import guest_name, link_name
from services.placement import modes
from services.placement.snapshot import Prefix
from tests.simulation.agents import Agent
from tests.simulation.controller import Controller
from tests.simulation.rows import Claim, Port

BY_NAT = {modes.NAT, modes.HOSTNAT}
TRANSIT_S = 0.1  # the longest that a packet takes to a gateway


class Way(enum.Enum):
    """By whom an address is rewritten."""

    CENTRAL = "gateways"
    OWN = "its own hypervisor"


class Whole(NamedTuple):
    """What a port had when it was last seen whole. A change of `place` is another's doing."""

    place: tuple[UUID, Prefix]
    central: bool  # something went by the gateways


@dataclass
class Paths:
    """Follows packets."""

    controller: Controller
    _whole: dict[UUID, Whole] = field(default_factory=dict)
    _central_until: dict[UUID, float] = field(default_factory=dict)

    # --- packets -----------------------------------------------------------------------------------------------------

    def _gateways(self) -> list[Agent]:
        """Those that packets pass."""
        fenced = self.controller.fabric.fenced
        return [self.controller.agents[n.id] for n in self.controller.rows.of_role("gateway") if n.id not in fenced]

    def way_in(self, port: Port, public: Prefix) -> Way | None:
        hosts = self.controller.fabric.next_hops(public)
        if hosts:
            return Way.OWN if all(self._rewritten_at(host, port, public) for host in hosts) else None
        for gateway in self._gateways():
            row = gateway.kernel.table(Inbound).get(public.network_address)
            if row is None or not self._arrives(port, row.private):
                return None
        return Way.CENTRAL

    def _rewritten_at(self, host: UUID, port: Port, public: Prefix) -> bool:
        kernel = self.controller.agents[host].kernel
        row = kernel.table(HostNat).get(link_name(port.id))
        at_home = row is not None and row.inbound and row.public == public.network_address
        return at_home and self.reaches(host, port, public)

    def _arrives(self, port: Port, private: IPv4Address) -> bool:
        hosts = self.controller.fabric.towards(private)
        return bool(hosts) and all(self.reaches(host, port, IPv4Network(private)) for host in hosts)

    def reaches(self, host: UUID, port: Port, prefix: Prefix) -> bool:
        """Whether a hypervisor has a route for `prefix` to the guest, and the guest hears it."""
        agent = self.controller.agents[host]
        row = agent.kernel.table(Forward).get(prefix)
        heard = agent.kernel.world.hears.get(guest_name(port.id)) == (agent.name, link_name(port.id))
        return row is not None and row.link == link_name(port.id) and heard

    def way_out(self, port: Port) -> Way | None:
        if port.node is None:
            return None
        row = self.controller.agents[port.node].kernel.table(HostNat).get(link_name(port.id))
        if row is not None and row.outbound:
            return Way.OWN
        mapped = [self._mapped(port, gateway, Outbound) for gateway in self._gateways()]
        return Way.CENTRAL if all(mapped) else None

    def _mapped(self, port: Port, gateway: Agent, table: type[Outbound]) -> bool:
        rows = gateway.kernel.table(table)
        return any(prefix.network_address in rows for prefix in self._private(port))

    def _private(self, port: Port) -> list[Prefix]:
        return [prefix for prefix in self.controller.rows.held_by(port.id) if prefix.version == 4]

    def answers(self, port: Port, public: Prefix) -> bool:
        return self.way_in(port, public) is not None and self.way_out(port) is not None

    # --- what must hold ----------------------------------------------------------------------------------------------

    def loss(self, concerns: Callable[[str, Iterable[Prefix]], bool]) -> str | None:
        """Whose packets are lost that were not before, and how; None if nobody's are.

        `concerns`: whether something has changed by a link, or for prefixes, since the last look.
        """
        for port in self.controller.rows.ports.values():
            if port.mode in BY_NAT and concerns(link_name(port.id), [*port.public, *self._private(port)]):
                lost = self._loss(port)
                if lost is not None:
                    return lost
        return None

    def _loss(self, port: Port) -> str | None:
        now, place, before = self.controller.engine.now, self._place(port), self._whole.get(port.id)
        if place is None:
            self._whole.pop(port.id, None)
            return None
        way_in, way_out = self.way_in(port, place[1]), self.way_out(port)
        if before is not None and before.place == place:
            if before.central:
                self._central_until[port.id] = now
            if way_in is None or way_out is None:
                return f"{port.name} has no way {'in' if way_in is None else 'out'}"
            on_their_way = now - self._central_until.get(port.id, -TRANSIT_S) < TRANSIT_S
            if on_their_way and not all(self._maps(port, gateway, place[1]) for gateway in self._gateways()):
                return f"what is on its way to or from {port.name} finds no mapping"
        if way_in is not None and way_out is not None:
            self._whole[port.id] = Whole(place, Way.CENTRAL in {way_in, way_out})
        return None

    def _maps(self, port: Port, gateway: Agent, public: Prefix) -> bool:
        return public.network_address in gateway.kernel.table(Inbound) and self._mapped(port, gateway, Outbound)

    def _place(self, port: Port) -> tuple[UUID, Prefix] | None:
        """Where a settled port's one public address is; None if others than its conversion may disturb it now."""
        controller = self.controller
        if port.mode not in BY_NAT or port.node is None or len(port.public) != 1:
            return None
        if isinstance(controller.rows.claims.get(port.id), Claim):
            return None
        public = port.public[0]
        fip = next(address.flexible_ip for address in port.addresses if address.prefix == public)
        settled = controller.ledger.flexible_ips[fip].state == "attached" and controller.ledger.tied(fip) == port.id
        involved = [controller.agents[port.node], *self._gateways()]
        others = [agent for agent in controller.agents.values() if agent.id != port.node]
        # What an earlier holder announced comes to light again when the newest announcement goes: nobody can help it.
        misled = public in controller.fabric.twice or controller.fabric.stale(public, others)
        troubled = (
            misled
            or any(agent.disturbed for agent in involved)
            or port.node in controller.fabric.cut | controller.fabric.fenced
        )
        return (port.node, public) if settled and not troubled else None
