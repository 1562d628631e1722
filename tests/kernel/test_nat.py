"""The gateway's NAT in the kernel: real links, real forwarding, bytes compared on the wire."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from dataplane.entries import Inbound, Outbound
from dataplane.nat import Nat, NatInbound, NatOutbound
from tests import packets as p
from tests.kernel.rig import Wire, bpffs, inside, ip, namespaces, needs_root, sysctl, veth

pytestmark = needs_root

PUBLIC_MAC, PRIVATE_MAC = "02:00:00:00:01:01", "02:00:00:00:02:01"  # the gateway's
INTERNET_MAC, GUEST_MAC = "02:00:00:00:01:02", "02:00:00:00:02:02"  # what lies beyond each link
HOST, OTHER = "192.0.2.7", "192.0.2.8"  # on the internet
WEB, WEB_10 = "198.18.0.5", "10.1.0.5"
DB, DB_10 = "198.18.0.6", "10.2.0.6"
LAST = b"the last frame"


@dataclasses.dataclass
class Gateway:
    name: str
    nat: Nat
    pins: Path
    cache: Path
    internet: Wire
    guests: Wire

    def put(self, public: str, private: str) -> None:
        a, b = IPv4Address(public), IPv4Address(private)
        NatOutbound(self.nat).put(Outbound(private=b, public=a))
        NatInbound(self.nat).put(Inbound(public=a, private=b))

    def from_internet(self, *sent: bytes) -> list[bytes]:
        """What the guests' side receives of packets from the internet."""
        for packet in (*sent, p.ipv4(HOST, WEB, p.UDP, p.udp(HOST, WEB, LAST))):
            self.internet.send(p.frame(INTERNET_MAC, PUBLIC_MAC, p.IPV4, packet))
        return [frame[14:] for frame in self.guests.until(lambda frame: LAST in frame) if is_ipv4(frame)]

    def from_guests(self, *sent: bytes, to: str = "internet") -> list[bytes]:
        """What the internet, or the guests, receive of packets from the guests' side."""
        target = HOST if to == "internet" else DB
        for packet in (*sent, p.ipv4(WEB_10, target, p.UDP, p.udp(WEB_10, target, LAST))):
            self.guests.send(p.frame(GUEST_MAC, PRIVATE_MAC, p.IPV4, packet))
        receiver = self.internet if to == "internet" else self.guests
        return [frame[14:] for frame in receiver.until(lambda frame: LAST in frame) if is_ipv4(frame)]

    def counted(self, reason: str) -> int:
        return self.nat.counters()[reason]


def is_ipv4(frame: bytes) -> bool:
    return frame[12:14] == b"\x08\x00"


@pytest.fixture
def gateway(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with namespaces("gateway", "internet", "guests") as (gw, internet, guests), bpffs(tmp_path / "bpf") as pins:
        veth((gw, "public", PUBLIC_MAC), (internet, "wire", INTERNET_MAC))
        veth((gw, "private", PRIVATE_MAC), (guests, "wire", GUEST_MAC))
        for key in ("ip_forward", "conf.all.rp_filter=0", "conf.default.rp_filter=0"):
            name, _, value = key.partition("=")
            sysctl(gw, f"net.ipv4.{name}", value or "1")
        ip(gw, *lines())
        ip(internet, "link set wire up")
        ip(guests, "link set wire up")
        for link in ("public", "private"):
            for key, value in (("rp_filter", "0"), ("accept_local", "1"), ("send_redirects", "0")):
                sysctl(gw, f"net.ipv4.conf.{link}.{key}", value)
        cache = tmp_path_factory.getbasetemp() / "build"
        with inside(gw):
            nat = Nat(pins, cache, leaves=4)
            nat.attach("public", "private")
        here = Gateway(gw, nat, pins, cache, Wire(internet, "wire"), Wire(guests, "wire"))
        here.put(WEB, WEB_10)
        here.put(DB, DB_10)
        yield here
        here.internet.close()
        here.guests.close()


def lines() -> Iterator[str]:
    yield "link set public up"
    yield "link set private up"
    yield "addr add 172.31.1.1/24 dev public"
    yield "addr add 172.31.2.1/24 dev private"
    yield f"neigh add 172.31.1.2 lladdr {INTERNET_MAC} dev public nud permanent"
    yield f"neigh add 172.31.2.2 lladdr {GUEST_MAC} dev private nud permanent"
    yield "route add default via 172.31.1.2"
    yield "route add 10.0.0.0/8 via 172.31.2.2"


def test_the_link_is_translated_both_ways(gateway: Gateway) -> None:
    request = p.ipv4(HOST, WEB, p.TCP, p.tcp(HOST, WEB, b"GET /"))
    answer = p.ipv4(WEB_10, HOST, p.TCP, p.tcp(WEB_10, HOST, b"200"))

    assert gateway.from_internet(request) == [p.ipv4(HOST, WEB_10, p.TCP, p.tcp(HOST, WEB_10, b"GET /"), ttl=63)]
    assert gateway.from_guests(answer) == [p.ipv4(WEB, HOST, p.TCP, p.tcp(WEB, HOST, b"200"), ttl=63)]
    assert gateway.counted("rewritten") == 4  # with the last frames
