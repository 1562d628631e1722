"""A zone on a central NAT, in namespaces: internet, edge, a gateway, two hypervisors with guests, all on real drivers.

The fabric's routing is the test's hand: `announce` is what the edge's kernel holds when BGP has converged.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_interface
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID, uuid4

from dataplane.driver import Driver
from dataplane.guard import Guard, GuardAddresses, GuardPorts
from dataplane.guests import GuestAddresses
from dataplane.handover import Handover
from dataplane.hostnat import HostNats, LinkTraffic, LinkTraffics
from dataplane.links import Legs
from dataplane.linux import Linux
from dataplane.nat import Nat, NatInbound, NatOutbound
from dataplane.routes import Anchors, Forwards, RouteTable
from services.netagent import guest, namespaces, wire
from services.netagent.checkpoint import MemoryCheckpoint
from services.netagent.guests import HelperGuests
from services.netagent.reconciler import Reconciler
from services.netagent.render import link_name, link_of
from tests.kernel.hosts import Helper, Host, hosts
from tests.kernel.rig import bpffs, run

T = TypeVar("T")

INTERNET = "203.0.113.2"
POOL = "198.18.0.0/24"
PROBE_SOURCES = IPv4Address("172.31.254.1"), IPv6Address("fd00:31:fe::1")  # the edge's
NAT_TABLE = "200"  # the edge's: the way out of 10.x


@dataclass
class Node:
    """A host with an agent, which is told by snapshots and deltas and must confirm them."""

    host: Host
    number: int
    agent: Reconciler
    generation: int = 0

    def order(self, *puts: wire.Entry, gone: tuple[wire.Entry, ...] = ()) -> None:
        base, self.generation = self.generation, self.generation + 1
        node = UUID(int=self.number)
        message: wire.Snapshot | wire.Delta = wire.Snapshot(node, 1, self.generation, list(puts))
        if base:
            tombstones = [wire.Tombstone(wire.EntryKey.of(entry), uuid4()) for entry in gone]
            message = wire.Delta(node, 1, base, self.generation, list(puts), tombstones)
        realized = self.host.run(lambda: self.agent.apply(message))
        assert realized.failed == []


@dataclass
class Hypervisor(Node):
    """With its guests' traffic."""

    guard: Guard = field(kw_only=True)
    links: LinkTraffics = field(kw_only=True)

    def traffic(self, port: UUID) -> LinkTraffic:
        return self.host.run(lambda: self.links.of([link_name(port)]))[link_name(port)]


@dataclass
class Gateway(Node):
    """With what it translated."""

    nat: Nat = field(kw_only=True)

    def translated(self) -> int:
        """Packets so far."""
        counters = self.nat.counters()
        return counters["rewritten"] + counters["hairpinned"]


@dataclass(frozen=True, eq=False)
class Guest:
    """An instance of a NAT zone."""

    hypervisor: Hypervisor
    private: IPv4Address
    public: IPv4Address
    port: UUID
    namespace: Path

    def inside(self, work: Callable[[], T]) -> T:
        opened = os.open(self.namespace, os.O_RDONLY)
        try:
            return namespaces.inside(opened, work)
        finally:
            os.close(opened)

    def mapping(self) -> tuple[wire.Entry, wire.Entry]:
        return wire.Outbound(self.private, self.public), wire.Inbound(self.public, self.private)

    def hostnat(self, *, outbound: bool = False, sequence: int = 0) -> wire.HostNat:
        ends = self.public, self.private
        return wire.HostNat(self.port, *ends, inbound=True, outbound=outbound, sequence=sequence)


@dataclass
class Zone:
    """All of it."""

    internet: Host
    edge: Host
    gateway: Gateway
    hypervisors: list[Hypervisor]
    helper: Helper

    def guest(self, hypervisor: int, number: int, *, routed: bool = False) -> Guest:
        """A new guest on a NAT port; or on a `routed` one, whose only address is the public one."""
        at = self.hypervisors[hypervisor]
        public = IPv4Address(f"198.18.{int(routed)}.{10 * at.number + number}")
        private = public if routed else IPv4Address(f"10.{at.number}.0.{number}")
        mac = b"\x06\0\0\0" + bytes((at.number, number))
        port = wire.Port(uuid4(), mac, wire.PortState.ACTIVE, f"guest-{at.number}-{number}")
        made = Guest(at, private, public, port.port, self.helper.guests / port.port.hex / "net")
        at.order(port, wire.Address(IPv4Network(private), port.port, ip_interface(f"{private}/32"), int(routed)))
        if routed:
            self.announce(made)
        else:
            self.gateway.order(*made.mapping())
        return made

    def announce(self, guest: Guest) -> None:
        self.edge.ip("route", "replace", f"{guest.public}/32", "via", f"172.31.{guest.hypervisor.number}.2")

    def withdraw(self, guest: Guest) -> None:
        self.edge.ip("route", "del", f"{guest.public}/32")


def _connect(edge: Host, link: str, edge_address: str, host: Host, name: str, address: str) -> None:
    """A link of the fabric, with complete checksums, as the local cloud's are: XDP sees what is on the wire."""
    edge.ip("link", "add", link, "type", "veth", "peer", "name", name, "netns", host.name)
    for end, its, held in ((edge, link, edge_address), (host, name, address)):
        end.ip("link", "set", its, "up")
        end.ip("addr", "add", f"{held}/24", "dev", its)
        run(
            "ip", "netns", "exec", end.name, "ethtool", "-K", its, "tx", "off", "tso", "off", "gso", "off", "gro", "off"
        )


def _hypervisor(host: Host, number: int, edge: Host, helper: Helper, pins: Path, cache: Path) -> Hypervisor:
    _connect(edge, f"hv{number}", f"172.31.{number}.1", host, "up0", f"172.31.{number}.2")
    host.ip("route", "add", "default", "via", f"172.31.{number}.1")
    host.ip("rule", "add", "pref", "98", "from", "10.0.0.0/8", "to", "10.0.0.0/8", "lookup", "101")
    host.ip("rule", "add", "pref", "99", "from", "10.0.0.0/8", "lookup", "main")
    host.ip("rule", "add", "pref", "100", "lookup", "101")
    edge.ip("route", "add", f"10.{number}.0.0/16", "via", f"172.31.{number}.2")

    def make() -> tuple[Reconciler, Guard]:
        linux, guests = Linux(), HelperGuests(helper.socket)
        fabric = IPv4Network("172.31.0.0/16"), IPv6Network("fd00:31::/32")
        tables, guard = RouteTable(linux), Guard(pins / host.name, cache, fabric, PROBE_SOURCES)
        legs = Legs(linux, guests, guard.attach, Handover(linux))
        drivers: list[Driver[Any]] = [
            legs,
            GuardPorts(guard),
            GuardAddresses(guard),
            HostNats(guard),
            Forwards(tables),
            GuestAddresses(legs, guests, link_of),
            Anchors(tables),
        ]
        return Reconciler(UUID(int=number), drivers, MemoryCheckpoint()), guard

    agent, guard = host.run(make)
    return Hypervisor(host, number, agent, guard=guard, links=LinkTraffics(guard))


def _gateway(host: Host, edge: Host, pins: Path, cache: Path) -> Gateway:
    _connect(edge, "gw-out", "172.31.101.1", host, "out0", "172.31.101.2")
    _connect(edge, "gw-in", "172.31.102.1", host, "in0", "172.31.102.2")
    host.ip("route", "add", "default", "via", "172.31.101.1")
    host.ip("route", "add", "10.0.0.0/8", "via", "172.31.102.1")
    edge.ip("route", "add", POOL, "via", "172.31.101.2")
    edge.ip("route", "add", "default", "via", "172.31.102.2", "table", NAT_TABLE)

    def make() -> tuple[Reconciler, Nat]:
        nat = Nat(pins / host.name, cache, leaves=4)
        nat.attach("out0", "in0")
        return Reconciler(UUID(int=101), [NatOutbound(nat), NatInbound(nat)], MemoryCheckpoint()), nat

    agent, nat = host.run(make)
    return Gateway(host, 101, agent, nat=nat)


@contextlib.contextmanager
def zone(directory: Path, cache: Path) -> Iterator[Zone]:
    """Two hypervisors without guests; `internet` answers UDP and TCP on port 7, as guests do."""
    with (
        hosts("internet", "edge", "gw", "hv1", "hv2") as (internet, edge, gw, *machines),
        bpffs(directory / "bpf") as pins,
        contextlib.ExitStack() as stack,
    ):
        helper = Helper(directory)
        stack.callback(helper.close)
        for host in (internet, edge, gw, *machines):
            for which in ("all", "default"):
                host.run(lambda host=host, which=which: host.kernel.sysctl(f"ipv4/conf/{which}/send_redirects", 0))  # type: ignore[misc]
        _connect(edge, "internet", "203.0.113.1", internet, "net0", INTERNET)
        internet.ip("route", "add", "default", "via", "203.0.113.1")
        edge.ip("route", "add", "default", "via", INTERNET)
        edge.ip("rule", "add", "pref", "90", "from", "10.0.0.0/8", "to", "10.0.0.0/8", "lookup", "main")
        edge.ip("rule", "add", "pref", "91", "from", "10.0.0.0/8", "lookup", NAT_TABLE)
        disk = directory / "internet"
        disk.mkdir()
        disk.chmod(0o777)  # it writes as nobody
        echo = subprocess.Popen(
            ["nsenter", f"--net={internet.pin}", sys.executable, "-S", "-E", guest.__file__, directory, disk]
        )
        stack.callback(echo.wait)
        stack.callback(echo.kill)
        gateway = _gateway(gw, edge, pins, cache)
        made = [_hypervisor(host, n, edge, helper, pins, cache) for n, host in enumerate(machines, 1)]
        yield Zone(internet, edge, gateway, made, helper)
