"""By which way each port's packets go: counted at the gateways, address by address, and at the guest's own link.

The gateways' counters are nftables' own, in a table of the measurement's beside everything of ours: elements of two
sets, where a packet is seen after its rewrite. The guest link's are what its hypervisor's agent tells.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from cloud import rawlog
from cloud.agents import ask
from cloud.conversion.guests import Guest
from cloud.namespaces import CommandFailed
from cloud.site import LocalSite

TABLE = "godwit_measure"
SETS = ("inbound", "outbound")


@dataclass(frozen=True, slots=True)
class Counters:
    """Counters of the guests of one zone. Raise CommandFailed and DomainError."""

    site: LocalSite
    zone: str
    guests: Sequence[Guest]

    def install(self) -> None:
        """Count at every gateway from now on. What an earlier run counted is forgotten."""
        private = ", ".join(guest.private for guest in self.guests)
        public = ", ".join(guest.public for guest in self.guests)
        for gateway in self._gateways:
            links = [link.name for link in self.site.plan.node(gateway).links]
            self._nft(
                gateway,
                f"add table ip {TABLE}; delete table ip {TABLE}; add table ip {TABLE}; "
                f"add set ip {TABLE} inbound {{ type ipv4_addr; counter; elements = {{ {private} }}; }}; "
                f"add set ip {TABLE} outbound {{ type ipv4_addr; counter; elements = {{ {public} }}; }}; "
                f"add chain ip {TABLE} passing {{ type filter hook forward priority -300; }}; "
                f"add rule ip {TABLE} passing iifname {links[0]} ip daddr @inbound; "
                f"add rule ip {TABLE} passing iifname {links[1]} ip saddr @outbound",
            )

    def sample(self) -> list[str]:
        """A record of each guest: packets by gateways and past them since the beginning."""
        by_gateways = dict.fromkeys((guest.name for guest in self.guests), 0)
        for gateway in self._gateways:
            for guest, packets in self._at(gateway).items():
                by_gateways[guest] += packets
        direct = self._direct()
        now_ns = time.monotonic_ns()
        return [f"p {guest.name} {by_gateways[guest.name]} {direct[guest.port]} {now_ns}" for guest in self.guests]

    def watch(self, log: Path, seconds: float) -> None:
        """Two samples some time apart, as a raw log."""
        before = self.sample()
        time.sleep(seconds)
        rawlog.write(log, "paths", {"zone": self.zone}, [*before, *self.sample()])

    def strays(self) -> list[str]:
        """A record of each hypervisor: packets it dropped at a guest's link because they were another's."""
        hypervisors = self.site.nodes("hypervisor", self.zone)
        seen = {node: ask(self.site.plan, node, lambda client: client.observed()) for node in hypervisors}
        now_ns = time.monotonic_ns()
        return [f"c {node} {each.packets['dropped_not_its_address']} {now_ns}" for node, each in seen.items()]

    @property
    def _gateways(self) -> list[str]:
        return self.site.nodes("gateway", self.zone)

    def _at(self, gateway: str) -> dict[str, int]:
        """Packets of each guest, both ways."""
        named = {address: guest.name for guest in self.guests for address in (guest.private, guest.public)}
        found = dict.fromkeys(named.values(), 0)
        for name in SETS:
            (*_, listed) = json.loads(self._nft(gateway, f"list set ip {TABLE} {name}"))["nftables"]
            for element in listed["set"]["elem"]:
                found[named[element["elem"]["val"]]] += element["elem"]["counter"]["packets"]
        return found

    def _direct(self) -> Mapping[UUID, int]:
        ports = [guest.port for guest in self.guests]
        found: dict[UUID, int] = {}
        for node in self.site.nodes("hypervisor", self.zone):
            for traffic in ask(self.site.plan, node, lambda client: client.port_traffic(ports)):
                found[traffic.port] = traffic.inbound_packets + traffic.outbound_packets
        return found

    def _nft(self, gateway: str, commands: str) -> str:
        done = self.site.exec(gateway, ["nft", "--json", commands])
        if done.returncode:
            raise CommandFailed(f"nft on {gateway}: {done.stderr.strip()}")
        return done.stdout
