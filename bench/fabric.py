"""An in-memory fabric: what nodes announce, where an edge's kernel sends an address, and which guests answer.

The fabric converges at once. A guest answers if the present rows of the kernels lead a packet to its link, and its
answer out again.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

from cloud.plan import PRIVATE, Node, Role
from dataplane.entries import Anchor, Forward, HostNat, Inbound, Outbound
from dataplane.memory import Kernel, MemoryTable
from services.netagent.observe import Feed
from services.netagent.probes import Pace
from services.netagent.wire import PROBES_PER_SECOND, EdgeRoute, ProbeResult, Probes

Prefix = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address


@dataclass
class Machine:
    """A node and its kernel's tables."""

    node: Node
    kernel: Kernel

    def endpoint(self, version: int) -> str:
        return str(self.node.endpoint if version == 4 else self.node.endpoint_ipv6)


@dataclass
class Fabric:
    """Routes by prefix: who announces it, with which sequence."""

    feed: Feed = field(default_factory=Feed)
    machines: list[Machine] = field(default_factory=list)
    _lengths: dict[int, list[int]] = field(default_factory=lambda: {4: [], 6: []})  # of its prefixes, the longest first
    _routes: dict[Prefix, dict[str, tuple[Machine, int]]] = field(default_factory=lambda: defaultdict(dict))

    def announce(self, anchor: Anchor, by: Machine) -> None:
        if anchor.prefix not in self._routes:
            lengths = self._lengths[anchor.prefix.version]
            self._lengths[anchor.prefix.version] = sorted({*lengths, anchor.prefix.prefixlen}, reverse=True)
        self._routes[anchor.prefix][by.node.name] = (by, anchor.sequence)
        self.feed.changed(anchor.prefix)

    def withdraw(self, anchor: Anchor, by: Machine) -> None:
        held = self._routes[anchor.prefix].get(by.node.name)
        if held is not None and held[1] == anchor.sequence:
            del self._routes[anchor.prefix][by.node.name]
            self.feed.changed(anchor.prefix)

    def towards(self, address: Address) -> list[Machine]:
        """Where an edge's kernel sends what is for `address`: by the longest match to its newest announcers."""
        for length in self._lengths[address.version]:
            found = self._routes.get(ip_network((address, length), strict=False))
            if found:
                holders = list(found.values())
                newest = max(sequence for _, sequence in holders)
                return [machine for machine, sequence in holders if sequence == newest]
        return []

    def lookup(self, prefixes: Iterable[str]) -> list[EdgeRoute]:
        """As `services.netagent.observe.EdgeRoutes`. Raises ValueError."""
        return [EdgeRoute(prefix=prefix, next_hops=self._next_hops(ip_network(prefix))) for prefix in prefixes]

    def _next_hops(self, prefix: Prefix) -> list[str]:
        return [machine.endpoint(prefix.version) for machine in self.towards(prefix.network_address)]

    def answers(self, address: Address) -> bool:
        """Whether a guest answers there: on every way that a packet may take to it, and back."""
        machines = self.towards(address)
        return bool(machines) and all(self._delivers(machine, address) for machine in machines)

    def _delivers(self, machine: Machine, address: Address) -> bool:
        kernel = machine.kernel
        if machine.node.role is Role.GATEWAY:
            inbound = kernel.table(Inbound).get(address)
            return inbound is not None and self.answers(inbound.private)
        length = 32 if address.version == 4 else 64
        forward = kernel.table(Forward).get(ip_network((address, length), strict=False))
        if forward is None:
            return False
        rewrite = kernel.table(HostNat).get(forward.link)
        if rewrite is not None and address in {rewrite.public, rewrite.private}:
            return rewrite.outbound or self._mapped_out(rewrite.private)
        return address not in PRIVATE or self._mapped_out(address)

    def _mapped_out(self, private: Address) -> bool:
        """Whether the central NAT gives a public address to what comes from `private`."""
        gateways = [machine for machine in self.machines if machine.node.role is Role.GATEWAY]
        return all(private in gateway.kernel.table(Outbound) for gateway in gateways)


class Announcements(MemoryTable[Anchor]):
    """The announcement table of one machine, heard by the fabric."""

    def __init__(self, machine: Machine, fabric: Fabric) -> None:
        super().__init__(machine.kernel, Anchor)
        self._machine = machine
        self._fabric = fabric

    def put(self, entry: Anchor) -> None:
        super().put(entry)
        self._fabric.announce(entry, self._machine)

    def drop(self, entry: Anchor) -> None:
        super().drop(entry)
        self._fabric.withdraw(entry, self._machine)


class Echoes:
    """Probes to guests of memory: as `services.netagent.probes.Prober`, and at its pace."""

    def __init__(self, fabric: Fabric) -> None:
        self._fabric = fabric
        self._pace = Pace(PROBES_PER_SECOND)

    def run(self, asked: Probes) -> list[ProbeResult]:
        received = [0] * len(asked.targets)
        for _ in range(asked.count):
            for number, target in enumerate(asked.targets):
                while wait_s := self._pace.wait_s(time.monotonic()):
                    time.sleep(wait_s)
                received[number] += self._fabric.answers(target.address)
        return [
            ProbeResult(
                address=target.address,
                size=target.size,
                sent=asked.count,
                received=count,
                rtt_us=(100, 100) if count else None,
            )
            for target, count in zip(asked.targets, received, strict=True)
        ]
