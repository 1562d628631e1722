"""A hypervisor with two guests' links, guarded, and an uplink: raw sockets stand for guests and fabric.

Each frame is followed by a last one that passes, so that what has not come by then does not come.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
from collections.abc import Iterator
from ipaddress import IPv4Address, ip_address, ip_network
from pathlib import Path

import pytest

from dataplane.entries import GuardAddress, GuardPort, Prefix
from dataplane.guard import Guard, GuardAddresses, GuardPorts
from tests import packets as p
from tests.kernel.rig import Wire, bpffs, inside, ip, namespaces, quiet, sysctl, veth

GATEWAY_MAC, UPLINK_MAC, FABRIC_MAC = "02:00:00:00:00:01", "02:00:00:00:0f:01", "02:00:00:00:0f:02"
MAC, MAC_B = "02:00:00:00:00:11", "02:00:00:00:00:12"  # of guest a and its neighbour b on the same host
GATEWAY, GATEWAY_6 = "169.254.0.1", "fe80::1"
A, A_6, A_NET = "198.18.0.5", "2001:db8:5::5", "2001:db8:5::/64"
B, B_6 = "198.18.0.6", "2001:db8:6::6"
ANY = str(IPv4Address(0))
FAR, FAR_6 = "192.0.2.7", "2001:db8:f::7"
STRAY, STRAY_6 = "198.18.8.8", "2001:db8:8::8"  # routed to a's link, not a's, and without a neighbour entry
HOST, HOST_6 = "172.31.0.1", "2001:db8:ffff::1"  # the host itself
PROBE, PROBE_6 = "172.31.254.1", "2001:db8:ffff:fe::1"  # where health checks come from, beyond the uplink
LL, LL_B = p.link_local(MAC), p.link_local(MAC_B)


@dataclasses.dataclass
class Host:
    """The hypervisor, and the raw sockets at the far ends of its links."""

    name: str
    guard: Guard
    pins: Path
    cache: Path
    a: Wire
    b: Wire
    fabric: Wire
    namespaces: tuple[str, str]  # of guests and fabric
    address: str = A  # guest a's own
    neighbour: str = B  # by which a reaches guest b

    @property
    def ports(self) -> GuardPorts:
        return GuardPorts(self.guard)

    @property
    def addresses(self) -> GuardAddresses:
        return GuardAddresses(self.guard)

    def open(self, link: str, mac: str, *prefixes: str) -> None:
        with inside(self.name):
            self.ports.put(GuardPort(link, mac))
            for prefix in prefixes:
                self.addresses.put(GuardAddress(link, network(prefix)))

    def guest_sends(self, frame: bytes) -> list[bytes]:
        """What leaves the host by its uplink, or comes back to the guest, after guest a sent `frame`."""
        last = next(_last)
        self.a.send(frame)
        self.a.send(p.frame(MAC, GATEWAY_MAC, p.IPV4, self._from_a(FAR, last)))
        return self.fabric.until(lambda seen: last in seen)

    def a_sends_b(self, frame: bytes) -> list[bytes]:
        """What guest b receives after guest a sent `frame`."""
        last = next(_last)
        self.b.waiting()
        self.a.send(frame)
        self.a.send(p.frame(MAC, GATEWAY_MAC, p.IPV4, self._from_a(self.neighbour, last)))
        return self.b.until(lambda seen: last in seen)

    def fabric_sends(self, frame: bytes) -> list[bytes]:
        """What guest a receives after the fabric sent `frame`."""
        last = next(_last)
        self.a.waiting()
        self.fabric.send(frame)
        self.fabric.send(p.frame(FABRIC_MAC, UPLINK_MAC, p.IPV4, self._from_afar(last)))
        return self.a.until(lambda seen: last in seen)

    def _from_a(self, to: str, payload: bytes) -> bytes:
        return p.ipv4(self.address, to, p.UDP, p.udp(self.address, to, payload))

    def _from_afar(self, payload: bytes) -> bytes:
        return p.ipv4(FAR, self.address, p.UDP, p.udp(FAR, self.address, payload))


OFFLOADS = ["tx", "on", "tso", "on", "gso", "on", "gro", "on"]
_last = (b"last frame %d" % number for number in itertools.count())


def network(text: str) -> Prefix:
    return ip_network(text)


def lines() -> Iterator[str]:
    for link in ("uplink", "leg-a", "leg-b"):
        yield f"link set {link} up"
    yield f"addr add {HOST}/24 dev uplink"
    yield f"addr add {HOST_6}/64 dev uplink nodad"
    yield f"neigh add 172.31.0.2 lladdr {FABRIC_MAC} dev uplink nud permanent"
    yield f"neigh add 2001:db8:ffff::2 lladdr {FABRIC_MAC} dev uplink nud permanent"
    yield "route add default via 172.31.0.2"
    yield "route add default via 2001:db8:ffff::2"
    yield f"route add {STRAY} dev leg-a"
    yield f"route add {STRAY_6} dev leg-a"
    for link, mac, v4, v6 in (("leg-a", MAC, A, A_NET), ("leg-b", MAC_B, B, "2001:db8:6::/64")):
        yield f"addr add {GATEWAY}/32 dev {link}"
        yield f"addr add {GATEWAY_6}/64 dev {link} nodad"
        yield f"route add {v4}/32 dev {link}"
        yield f"neigh add {v4} lladdr {mac} dev {link} nud permanent"
        yield f"route add {v6} via {p.link_local(mac)} dev {link}"
        yield f"neigh add {p.link_local(mac)} lladdr {mac} dev {link} nud permanent"


@contextlib.contextmanager
def made(directory: Path, factory: pytest.TempPathFactory) -> Iterator[Host]:
    """A hypervisor with two guests' links, guarded and without rows, and an uplink."""
    with namespaces("host", "guests", "fabric") as (hv, guests, fabric), bpffs(directory / "bpf") as pins:
        quiet(guests)
        quiet(fabric)
        veth((hv, "uplink", UPLINK_MAC), (fabric, "wire", FABRIC_MAC))
        veth((hv, "leg-a", GATEWAY_MAC), (guests, "nic-a", MAC))
        veth((hv, "leg-b", GATEWAY_MAC), (guests, "nic-b", MAC_B))
        for key in ("ipv4.ip_forward", "ipv6.conf.all.forwarding"):
            sysctl(hv, f"net.{key}", "1")
        for key in ("ipv4.conf.all.rp_filter", "ipv4.conf.default.rp_filter"):
            sysctl(hv, f"net.{key}", "0")
        cache = factory.getbasetemp() / "build"
        with inside(hv):
            hosts = [network("172.31.0.0/16"), network("2001:db8:ffff::/48")]
            guard = Guard(pins, cache, hosts, probes=[ip_address(PROBE), ip_address(PROBE_6)])
            guard.attach("leg-a")
            guard.attach("leg-b")
        ip(hv, *lines())
        ip(guests, "link set nic-a up", "link set nic-b up")
        ip(fabric, "link set wire up")
        wires = Wire(guests, "nic-a"), Wire(guests, "nic-b"), Wire(fabric, "wire")
        host = Host(hv, guard, pins, cache, *wires, (guests, fabric))
        yield host
        for wire in wires:
            wire.close()
