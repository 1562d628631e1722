"""The gateway's NAT in the kernel: real links, real forwarding, bytes compared on the wire."""

from __future__ import annotations

import dataclasses
import socket
import sys
import threading
from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from dataplane.driver import DriverError
from dataplane.entries import Inbound, Outbound
from dataplane.nat import Nat, NatInbound, NatOutbound, TableFull
from tests import packets as p
from tests.kernel.rig import PATIENCE, Wire, bpffs, inside, ip, namespaces, needs_root, run, sysctl, veth

pytestmark = needs_root

PUBLIC_MAC, PRIVATE_MAC = "02:00:00:00:01:01", "02:00:00:00:02:01"  # the gateway's
INTERNET_MAC, GUEST_MAC = "02:00:00:00:01:02", "02:00:00:00:02:02"  # what lies beyond each link
HOST, OTHER = "192.0.2.7", "192.0.2.8"  # on the internet
WEB, WEB_10 = "198.18.0.5", "10.1.0.5"
DB, DB_10 = "198.18.0.6", "10.2.0.6"
LAST = b"the last frame"


def udp(source: str, destination: str, payload: bytes = b"hello", *, ttl: int = 64, options: bytes = b"") -> bytes:
    return p.ipv4(source, destination, p.UDP, p.udp(source, destination, payload), ttl=ttl, options=options)


@dataclasses.dataclass
class Gateway:
    name: str
    nat: Nat
    pins: Path
    cache: Path
    internet: Wire
    guests: Wire
    namespaces: tuple[str, str]  # of internet and guests

    def put(self, public: str, private: str) -> None:
        a, b = IPv4Address(public), IPv4Address(private)
        NatOutbound(self.nat).put(Outbound(private=b, public=a))
        NatInbound(self.nat).put(Inbound(public=a, private=b))

    def from_internet(self, *sent: bytes) -> list[bytes]:
        """What the guests' side receives of packets from the internet."""
        for packet in (*sent, udp(HOST, WEB, LAST)):
            self.internet.send(p.frame(INTERNET_MAC, PUBLIC_MAC, p.IPV4, packet))
        return [frame[14:] for frame in self.guests.until(lambda frame: LAST in frame) if is_ipv4(frame)]

    def from_guests(self, *sent: bytes, to: str = "internet") -> list[bytes]:
        """What the internet, or the guests, receive of packets from the guests' side."""
        target = HOST if to == "internet" else DB
        for packet in (*sent, udp(WEB_10, target, LAST)):
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
        here = Gateway(gw, nat, pins, cache, Wire(internet, "wire"), Wire(guests, "wire"), (internet, guests))
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


def test_addresses_are_translated_both_ways(gateway: Gateway) -> None:
    request = p.ipv4(HOST, WEB, p.TCP, p.tcp(HOST, WEB, b"GET /"))
    answer = p.ipv4(WEB_10, HOST, p.TCP, p.tcp(WEB_10, HOST, b"200"))

    assert gateway.from_internet(request) == [p.ipv4(HOST, WEB_10, p.TCP, p.tcp(HOST, WEB_10, b"GET /"), ttl=63)]
    assert gateway.from_guests(answer) == [p.ipv4(WEB, HOST, p.TCP, p.tcp(WEB, HOST, b"200"), ttl=63)]
    assert gateway.counted("rewritten") == 4  # with the last packets


def test_a_guest_that_calls_anothers_public_address_shows_its_own(gateway: Gateway) -> None:
    sent = udp(WEB_10, DB, b"query")

    assert gateway.from_guests(sent, to="guests") == [udp(WEB, DB_10, b"query", ttl=63)]
    assert gateway.counted("hairpinned") == 2


def test_an_error_of_the_fabric_reaches_the_guest_about_its_own_packet(gateway: Gateway) -> None:
    router = "203.0.113.9"

    def too_big(to: str) -> bytes:
        quoted = p.ipv4(to, HOST, p.TCP, p.tcp(to, HOST, b"much"))[:28]
        return p.icmp(3, 4, 1400, quoted)

    received = gateway.from_internet(p.ipv4(router, WEB, p.ICMP, too_big(WEB)))

    assert received == [p.ipv4(router, WEB_10, p.ICMP, too_big(WEB_10), ttl=63)]


MISSES = [
    ("a public address without a mapping", "internet", udp(HOST, "198.18.0.99"), "miss_public"),
    ("a private source without a mapping", "guests", udp("10.1.0.99", HOST), "miss_private"),
    ("a private source in a /16 without any", "guests", udp("10.9.0.1", HOST), "miss_private"),
    ("a length that lies", "internet", udp(HOST, WEB)[:-1], "length"),
    ("a source route", "internet", udp(HOST, WEB, options=b"\x83\x03\x04\x00"), "source_route"),
]


@pytest.mark.parametrize(("case", "side", "packet", "reason"), MISSES, ids=[row[0] for row in MISSES])
def test_what_is_not_translated_is_dropped_and_counted(
    gateway: Gateway, case: str, side: str, packet: bytes, reason: str
) -> None:
    received = gateway.from_internet(packet) if side == "internet" else gateway.from_guests(packet)

    assert received == [], case
    assert gateway.counted(f"dropped_{reason}") == 1


def test_the_gateway_s_own_traffic_passes_on_both_links(gateway: Gateway) -> None:
    """Its sessions with the edge run on the same links: echo stands for them, and a closed port's reset for TCP."""
    for wire, mac, own, edge in (
        (gateway.internet, PUBLIC_MAC, "172.31.1.1", "172.31.1.2"),
        (gateway.guests, PRIVATE_MAC, "172.31.2.1", "172.31.2.2"),
    ):
        echo = p.icmp(8, 0, 7, b"ping")
        wire.send(p.frame(INTERNET_MAC, mac, p.IPV4, p.ipv4(edge, own, p.TCP, p.tcp(edge, own, b""))))
        wire.send(p.frame(INTERNET_MAC, mac, p.IPV4, p.ipv4(edge, own, p.ICMP, echo)))

        frames = wire.until(lambda frame: b"ping" in frame)

        assert [frame[14 + 9] for frame in frames if is_ipv4(frame)] == [p.TCP]
    assert gateway.counted("passed_own") == 4


def test_arp_and_ipv6_pass(gateway: Gateway) -> None:
    question = p.arp(1, INTERNET_MAC, "172.31.1.2", "172.31.1.1")
    gateway.internet.send(p.frame(INTERNET_MAC, p.BROADCAST, p.ARP, question))

    gateway.internet.until(lambda frame: frame[12:14] == b"\x08\x06" and frame[20:22] == b"\x00\x02")

    assert gateway.counted("passed_other") >= 1


def test_a_used_up_ttl_is_answered_with_what_was_sent(gateway: Gateway) -> None:
    sent = udp(HOST, WEB, b"trace", ttl=1)
    gateway.internet.send(p.frame(INTERNET_MAC, PUBLIC_MAC, p.IPV4, sent))

    gateway.internet.until(lambda frame: is_ipv4(frame) and frame[23] == p.ICMP)

    packet = gateway.internet.seen[-1][14:]
    assert (packet[20], packet[28 : 28 + 28]) == (11, sent[:28])


def test_the_link_s_role_decides_not_what_the_table_holds(gateway: Gateway) -> None:
    """A private source that comes in by the public link is not translated, a private destination neither."""
    sent = udp(DB_10, WEB, b"odd")

    assert gateway.from_internet(sent) == [udp(DB_10, WEB_10, b"odd", ttl=63)]


@pytest.mark.parametrize("segment", [p.tcp, p.udp], ids=["tcp", "udp"])
def test_checksums_left_to_hardware_are_right_on_the_next_wire(gateway: Gateway, segment: object) -> None:
    """The senders offload, the gateway's outgoing links do not: its kernel completes what the program left partial."""
    internet, guests = gateway.namespaces
    ip(internet, f"addr add {HOST}/32 dev lo", "addr add 172.31.1.2/24 dev wire", "route add default via 172.31.1.1")
    ip(guests, f"addr add {WEB_10}/32 dev lo", "addr add 172.31.2.2/24 dev wire", "route add default via 172.31.2.1")
    for namespace in gateway.namespaces:
        run("ip", "netns", "exec", namespace, "ethtool", "-K", "wire", "tx", "on")
    kind = socket.SOCK_STREAM if segment is p.tcp else socket.SOCK_DGRAM
    with inside(internet):
        server = socket.socket(socket.AF_INET, kind)
        server.bind((HOST, 7))
    with inside(guests):
        client = socket.socket(socket.AF_INET, kind)
        client.bind((WEB_10, 0))
    for end in (server, client):
        end.settimeout(PATIENCE)
    with server, client:
        if kind == socket.SOCK_STREAM:
            server.listen()
        client.connect((HOST, 7))
        sent = 20 * (bytes(9000) if kind == socket.SOCK_STREAM else bytes(1000))
        for at in range(0, len(sent), 1000):
            client.send(sent[at : at + 1000])
        if kind == socket.SOCK_STREAM:
            server, peer = server.accept()
            assert peer[0] == WEB
        received = 0
        while received < len(sent):
            received += len(server.recv(4096))
        server.close()
    gateway.from_guests()
    frames = gateway.internet.seen + gateway.guests.seen
    packets = [frame[14:] for frame in frames if is_ipv4(frame) and frame[14 + 9] in {p.TCP, p.UDP}]
    assert len(packets) > 20
    assert [packet.hex() for packet in packets if not p.valid(packet[: int.from_bytes(packet[2:4])])] == []


def test_a_restarted_agent_finds_its_rows_and_loses_no_packet(gateway: Gateway) -> None:
    packets = [udp(HOST, WEB, b"%06d" % number) for number in range(4000)]
    frames = [p.frame(INTERNET_MAC, PUBLIC_MAC, p.IPV4, packet) for packet in packets]
    sender = threading.Thread(target=gateway.internet.send, args=frames)
    sender.start()
    swaps = 0
    while sender.is_alive():
        with inside(gateway.name):
            nat = Nat(gateway.pins, gateway.cache)
            nat.attach("public", "private")
        swaps += 1
    sender.join()

    received = gateway.from_internet()

    assert swaps
    assert [frame[28:34] for frame in received] == [b"%06d" % number for number in range(4000)]
    with inside(gateway.name):
        assert nat.attached("public", "private")
        assert not gateway.nat.attached("public", "private")  # the earlier one's programs were replaced
    assert set(NatInbound(nat).observe()) == {IPv4Address(WEB), IPv4Address(DB)}


def test_programs_and_rows_outlive_the_agent(gateway: Gateway) -> None:
    """Another process makes the tables and ends; the gateway goes on translating."""
    pins, cache = gateway.pins / "elsewhere", gateway.cache
    pins.mkdir()
    for role in ("public", "private"):
        (gateway.pins / "nat" / f"link_{role}").unlink()
    script = (
        "import sys; from pathlib import Path; from ipaddress import IPv4Address as A\n"
        "from dataplane.nat import *; from dataplane.entries import Inbound\n"
        "nat = Nat(Path(sys.argv[1]), Path(sys.argv[2]), leaves=1); nat.attach('public', 'private')\n"
        f"NatInbound(nat).put(Inbound(A('{WEB}'), A('10.77.0.1')))\n"
    )
    run("ip", "netns", "exec", gateway.name, sys.executable, "-c", script, str(pins), str(cache))

    sent = udp(HOST, WEB, b"still")
    assert gateway.from_internet(sent) == [udp(HOST, "10.77.0.1", b"still", ttl=63)]


def test_a_link_that_was_made_anew_gets_the_program_again(gateway: Gateway) -> None:
    _, guests = gateway.namespaces
    ip(gateway.name, "link del private")
    with inside(gateway.name):
        assert not gateway.nat.attached("public", "private")
    veth((gateway.name, "private", PRIVATE_MAC), (guests, "wire", GUEST_MAC))
    ip(gateway.name, "link set private up", "addr add 172.31.2.1/24 dev private")
    with inside(gateway.name):
        assert not gateway.nat.attached("public", "private")
        gateway.nat.attach("public", "private")
        assert gateway.nat.attached("public", "private")


def test_a_dropped_mapping_translates_no_more(gateway: Gateway) -> None:
    NatInbound(gateway.nat).drop(Inbound(IPv4Address(DB), IPv4Address(DB_10)))
    NatInbound(gateway.nat).drop(Inbound(IPv4Address("198.19.7.7"), IPv4Address(DB_10)))  # was never there

    assert gateway.from_internet(udp(HOST, DB, b"late")) == []
    assert gateway.counted("dropped_miss_public") == 1


def test_a_mapping_moves_in_place(gateway: Gateway) -> None:
    gateway.put(WEB, "10.3.0.5")

    sent = udp(HOST, DB, b"same")
    moved = udp(HOST, WEB, b"moved")
    assert [packet[16:20] for packet in gateway.from_internet(sent, moved)] == [p.packed(DB_10), p.packed("10.3.0.5")]


def test_rows_are_read_back_from_the_tables(gateway: Gateway) -> None:
    inbound, outbound = NatInbound(gateway.nat), NatOutbound(gateway.nat)
    web, web_10, db, db_10 = map(IPv4Address, (WEB, WEB_10, DB, DB_10))

    assert inbound.observe() == {web: Inbound(web, web_10), db: Inbound(db, db_10)}
    assert outbound.observe() == {web_10: Outbound(web_10, web), db_10: Outbound(db_10, db)}
    assert inbound.observe([web, IPv4Address("198.18.0.99"), IPv4Address("203.0.113.1")]) == {web: Inbound(web, web_10)}


def test_a_16_takes_a_leaf_with_its_first_mapping_and_gives_it_back_with_its_last(gateway: Gateway) -> None:
    """Four leaves in all, one of them in use."""
    inbound = NatInbound(gateway.nat)
    others = [Inbound(IPv4Address(f"198.19.{n}.1") + n * 65536, IPv4Address(f"10.7.0.{n}")) for n in range(4)]
    for entry in others[:3]:
        inbound.put(entry)
    with pytest.raises(TableFull):
        inbound.put(others[3])

    inbound.drop(others[1])
    inbound.put(others[3])

    assert inbound.observe([others[1].key, others[3].key]) == {others[3].key: others[3]}
    assert len(inbound.observe()) == 5
    again = NatInbound(Nat(gateway.pins, gateway.cache))
    with pytest.raises(TableFull):
        again.put(others[1])


@pytest.mark.parametrize(
    ("public", "private"), [("10.0.0.1", "10.1.0.1"), ("224.0.0.5", "10.1.0.1"), (WEB, "192.0.2.1"), (WEB, "11.0.0.0")]
)
def test_an_address_out_of_its_space_is_refused(gateway: Gateway, public: str, private: str) -> None:
    with pytest.raises(DriverError):
        NatInbound(gateway.nat).put(Inbound(IPv4Address(public), IPv4Address(private)))
    with pytest.raises(DriverError):
        NatOutbound(gateway.nat).put(Outbound(IPv4Address(private), IPv4Address(public)))
