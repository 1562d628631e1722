"""hostnat on a guest's link in the kernel: what arrives of what was sent, byte by byte.

Packets are built twice, with the addresses they have before and after; random ones are compared with a second
implementation.
"""

from __future__ import annotations

import os
import random
import socket
import struct
import threading
import time
from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from dataplane.entries import GuardPort, HostNat
from dataplane.guard import GuardPorts
from dataplane.hostnat import HostNats, LinkTraffics
from tests import packets as p
from tests.kernel.guarded import (
    GATEWAY,
    GATEWAY_MAC,
    MAC,
    MAC_B,
    OFFLOADS,
    Host,
    made,
)
from tests.kernel.hostnat_host import (
    OTHER_10,
    ROW,
    from_a,
    from_fabric,
    furnish,
    hop,
    packets,
    put,
    switched,
)
from tests.kernel.rig import PATIENCE, Wire, inside, ip, needs_root, run
from tests.shapes import (
    BOTH_ENDS,
    DB,
    DB_10,
    ERRORS,
    INNER,
    PEER,
    REFUSED,
    WEB,
    WEB_10,
    Build,
    quoting,
    random_payload,
    udp,
)
from tests.unit import rewrite_model as model

pytestmark = needs_root

ROUTER = "203.0.113.9"

PACKETS = int(os.environ.get("REWRITE_PACKETS", "400"))
SEED = int(os.environ.get("REWRITE_SEED", "0")) or time.time_ns()

# a raw socket's frames have complete checksums, whatever they look like; the kernel fills a recorded route in
SHAPES = [row for row in BOTH_ENDS if row[0] not in {"partial checksum stays partial", "record route is left"}]
shapes = pytest.mark.parametrize("build", [row[1] for row in SHAPES], ids=[row[0] for row in SHAPES])


@pytest.fixture
def host(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    with made(tmp_path, tmp_path_factory) as host:
        furnish(host)
        yield host


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """For rows that leave nothing behind."""
    with made(tmp_path_factory.mktemp("hostnat"), tmp_path_factory) as host:
        furnish(host)
        yield host


# --- each shape, each direction --------------------------------------------------------------------------------------


@shapes
def test_out_the_private_source_becomes_the_public_one(shared: Host, build: Build) -> None:
    assert packets(shared.guest_sends(from_a(build(WEB_10, PEER)))) == [hop(build(WEB, PEER))]


@shapes
def test_in_the_public_destination_becomes_the_private_one(shared: Host, build: Build) -> None:
    assert packets(shared.fabric_sends(from_fabric(build(PEER, WEB)))) == [hop(build(PEER, WEB_10))]


@shapes
def test_in_what_a_gateway_rewrote_already_passes(shared: Host, build: Build) -> None:
    assert packets(shared.fabric_sends(from_fabric(build(PEER, WEB_10)))) == [hop(build(PEER, WEB_10))]


@shapes
def test_neighbours_meet_by_their_public_addresses(shared: Host, build: Build) -> None:
    assert packets(shared.a_sends_b(from_a(build(WEB_10, DB)))) == [hop(build(WEB, DB_10))]


@shapes
def test_private_peers_are_never_rewritten(shared: Host, build: Build) -> None:
    assert packets(shared.a_sends_b(from_a(build(WEB_10, DB_10)))) == [hop(build(WEB_10, DB_10))]


@shapes
def test_a_guest_reaches_itself_by_its_own_public_address(shared: Host, build: Build) -> None:
    shared.a.waiting()
    shared.a.send(from_a(build(WEB_10, WEB)))
    shared.a.send(from_a(udp(WEB_10, WEB, b"the last")))

    assert packets(shared.a.until(lambda frame: b"the last" in frame)) == [hop(build(WEB, WEB_10))]


@pytest.mark.parametrize(("inner", "cut"), [row[1:] for row in INNER], ids=[row[0] for row in INNER])
@pytest.mark.parametrize(("type_", "code"), ERRORS)
def test_an_error_quotes_what_its_receiver_sent(shared: Host, inner: Build, cut: int, type_: int, code: int) -> None:
    def error(outer: tuple[str, str], quoted: tuple[str, str]) -> bytes:
        return quoting(inner(*quoted)[:cut], outer, type_, code)

    # from a router, about what the guest sent
    sent = from_fabric(error((ROUTER, WEB), (WEB, PEER)))
    assert packets(shared.fabric_sends(sent)) == [hop(error((ROUTER, WEB_10), (WEB_10, PEER)))]
    # from the guest, about what it received
    sent = from_a(error((WEB_10, PEER), (PEER, WEB_10)))
    assert packets(shared.guest_sends(sent)) == [hop(error((WEB, PEER), (PEER, WEB)))]


def test_an_error_about_others_keeps_their_addresses(shared: Host) -> None:
    stranger = udp("203.0.113.1", "203.0.113.2")

    received = shared.fabric_sends(from_fabric(quoting(stranger, (ROUTER, WEB))))

    assert packets(received) == [hop(quoting(stranger, (ROUTER, WEB_10)))]


def test_what_lies_behind_a_packet_is_no_part_of_what_it_quotes(shared: Host) -> None:
    """A header quoted up to its addresses, which follow as padding."""
    inner = udp(PEER, WEB_10)

    left = shared.guest_sends(from_a(quoting(inner[:12], (WEB_10, PEER)) + inner[12:]))

    assert packets(left) == [hop(quoting(inner[:12], (WEB, PEER)))]


def test_a_udp_checksum_that_comes_out_as_0_is_stored_as_ffff(shared: Host) -> None:
    payload = next(
        filler for number in range(1 << 16) if udp(WEB, PEER, filler := struct.pack("!H", number))[26:28] == b"\xff\xff"
    )

    assert packets(shared.guest_sends(from_a(udp(WEB_10, PEER, payload)))) == [hop(udp(WEB, PEER, payload))]


LIES = [row for row in REFUSED if row[2] != "passed_ttl"]


@pytest.mark.parametrize(("packet", "reason"), [row[1:] for row in LIES], ids=[row[0] for row in LIES])
def test_what_a_gateway_refuses_is_refused_here(shared: Host, packet: bytes, reason: str) -> None:
    assert shared.fabric_sends(from_fabric(packet)) == []
    shared.fabric.waiting()  # the host answers some by ICMP

    before = shared.guard.counters()[reason]
    head = model.readdressed(packet[:20], p.packed(WEB_10), p.packed(PEER))
    assert shared.guest_sends(from_a(head + packet[20:])) == []
    assert shared.guard.counters()[reason] == before + 1


SEGMENTS = {p.ICMP: p.icmp(8, 0, 7, b""), p.UDPLITE: p.udplite(WEB_10, PEER, b""), p.TCP: p.tcp(WEB_10, PEER, b"")}


@pytest.mark.parametrize("fragment", [0, p.MORE], ids=["whole", "first fragment"])
@pytest.mark.parametrize("protocol", list(SEGMENTS))
def test_what_lies_behind_a_packet_is_no_part_of_its_header(shared: Host, protocol: int, fragment: int) -> None:
    """A header but for its last byte, which follows as padding."""
    segment = SEGMENTS[protocol]
    packet = p.ipv4(WEB_10, PEER, protocol, segment[:-1], fragment=fragment)

    assert shared.guest_sends(from_a(packet + segment[-1:] + bytes(20))) == []


PEERS = [
    ("9.255.255.255", True),
    ("10.0.0.1", False),
    ("10.255.255.254", False),
    ("11.0.0.0", True),
    ("172.16.0.1", True),
    ("192.168.0.1", True),
    ("223.255.255.254", True),
]


@pytest.mark.parametrize(("peer", "rewritten"), PEERS)
def test_only_10_is_private(shared: Host, peer: str, rewritten: bool) -> None:
    left = packets(shared.guest_sends(from_a(udp(WEB_10, peer))))

    assert left == [hop(udp(WEB if rewritten else WEB_10, peer))]


def test_the_guests_gateway_sees_its_private_address(shared: Host) -> None:
    """169.254.0.1 is the host itself, and answers the guest by the address it was asked from."""
    shared.a.waiting()
    shared.a.send(from_a(p.ipv4(WEB_10, GATEWAY, p.ICMP, p.icmp(8, 0, 7, b"ping"))))

    frames = shared.a.until(lambda frame: b"ping" in frame)
    assert frames == []
    assert shared.a.seen[-1][26:34] == p.packed(GATEWAY) + p.packed(WEB_10)


def test_another_address_of_the_guest_is_left(shared: Host) -> None:
    assert packets(shared.guest_sends(from_a(udp(OTHER_10, PEER)))) == [hop(udp(OTHER_10, PEER))]
    assert packets(shared.fabric_sends(from_fabric(udp(PEER, OTHER_10)))) == [hop(udp(PEER, OTHER_10))]


def test_the_guest_may_not_send_from_its_public_address(shared: Host) -> None:
    """The guard lies inside: it knows the private address only."""
    before = shared.guard.counters()["dropped_source"]

    assert shared.guest_sends(from_a(udp(WEB, PEER))) == []
    assert shared.guard.counters()["dropped_source"] == before + 1


def random_packet(chance: random.Random, source: str, destination: str) -> bytes:
    """Any payload, damaged now and then, in a header that the kernel forwards."""
    protocol, payload = random_payload(chance, source, destination)
    damaged = bytearray(payload)
    for _ in range(chance.choice([0, 0, 0, 1, 2])):
        if damaged:
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
    options = chance.choice([b"", b"", b"\x01" * 4, b"\x01" * 40])
    field = chance.choice([0, 0, 0, 0x4000, 0x2000, 0x0003, 0x2003])
    return p.ipv4(source, destination, protocol, bytes(damaged[:1400]), options=options, fragment=field)


def expected(packet: bytes, source: str, destination: str) -> list[bytes]:
    if model.fault_of(packet):
        return []
    return [hop(model.with_addresses(packet, p.packed(source), p.packed(destination), complete=True))]


def test_random_packets_come_out_as_the_second_implementation_says(shared: Host) -> None:
    print(f"REWRITE_SEED={SEED} REWRITE_PACKETS={PACKETS}")  # shown when it fails
    chance = random.Random(SEED)
    passed = 0
    for _ in range(PACKETS):
        outward, inward = random_packet(chance, WEB_10, PEER), random_packet(chance, PEER, WEB)
        if outward[9] == p.UDP and outward[(outward[0] & 15) * 4 :][:2] == b"\0\x43":
            continue  # a DHCP server's, which the guard stops
        left, received = packets(shared.guest_sends(from_a(outward))), packets(shared.fabric_sends(from_fabric(inward)))
        assert left == expected(outward, WEB, PEER), outward.hex()
        assert received == expected(inward, PEER, WEB_10), inward.hex()
        passed += len(left) + len(received)
    assert passed > PACKETS


# --- switching -------------------------------------------------------------------------------------------------------


def test_each_direction_is_switched_by_its_row(host: Host) -> None:
    there, back = from_fabric(udp(PEER, WEB)), from_a(udp(WEB_10, PEER))
    for inbound, outbound in ((True, True), (True, False), (False, False), (True, False), (True, True)):
        put(host, switched(inbound=inbound, outbound=outbound))
        assert packets(host.fabric_sends(there)) == ([hop(udp(PEER, WEB_10))] if inbound else [])
        assert packets(host.guest_sends(back)) == [hop(udp(WEB if outbound else WEB_10, PEER))]
    with inside(host.name):
        HostNats(host.guard).drop(ROW)
        HostNats(host.guard).drop(ROW)
    assert host.fabric_sends(there) == []
    assert packets(host.guest_sends(back)) == [hop(udp(WEB_10, PEER))]


def test_the_public_address_of_a_row_is_replaced_as_a_whole(host: Host) -> None:
    ip(host.name, "route add 198.18.0.99/32 dev leg-a", f"neigh add 198.18.0.99 lladdr {MAC} dev leg-a nud permanent")
    put(host, HostNat("leg-a", IPv4Address("198.18.0.99"), IPv4Address(WEB_10), inbound=True, outbound=True))

    assert host.fabric_sends(from_fabric(udp(PEER, WEB))) == []
    assert packets(host.fabric_sends(from_fabric(udp(PEER, "198.18.0.99")))) == [hop(udp(PEER, WEB_10))]
    assert packets(host.guest_sends(from_a(udp(WEB_10, PEER)))) == [hop(udp("198.18.0.99", PEER))]


def test_a_packet_sees_the_row_before_or_after_a_switch_and_none_is_lost(host: Host) -> None:
    bodies = [b"number %06d" % number for number in range(4000)]
    sender = threading.Thread(target=host.a.send, args=[from_a(udp(WEB_10, PEER, body)) for body in bodies])
    sender.start()
    switches = 0
    while sender.is_alive():
        put(host, switched(inbound=True, outbound=bool(switches % 2)))
        switches += 1
    sender.join()

    left = packets(host.guest_sends(from_a(udp(WEB_10, PEER, b"end"))))[:-1]

    assert switches > 2
    assert [packet[28:] for packet in left] == bodies
    forms = {body: {hop(udp(WEB, PEER, body)), hop(udp(WEB_10, PEER, body))} for body in bodies}
    assert [packet.hex() for packet in left if packet not in forms[packet[28:]]] == []


def test_a_port_without_a_row_of_the_guard_passes_nothing(host: Host) -> None:
    with inside(host.name):
        GuardPorts(host.guard).drop(GuardPort("leg-a", MAC))
    host.a.waiting()
    host.a.send(from_a(udp(WEB_10, PEER, b"unguarded")))
    host.fabric.send(from_fabric(udp(PEER, WEB, b"unguarded")))
    host.b.send(p.frame(MAC_B, GATEWAY_MAC, p.IPV4, udp(DB_10, PEER, b"the end")))

    assert host.fabric.until(lambda frame: b"the end" in frame) == []
    assert host.a.waiting() == []


# --- real stacks -----------------------------------------------------------------------------------------------------


def stacks(host: Host, *, offloads: bool) -> None:
    """Guest a and the fabric become hosts, which leave their checksums to hardware; so does the hypervisor, or not."""
    guests, fabric = host.namespaces
    ip(guests, f"addr add {WEB_10}/32 dev nic-a", f"route add default via {GATEWAY} dev nic-a onlink src {WEB_10}")
    ip(
        fabric,
        "addr add 172.31.0.2/24 dev wire",
        f"addr add {PEER}/32 dev lo",
        f"route add {WEB} via 172.31.0.1 src {PEER}",
    )
    ends = [(guests, "nic-a"), (fabric, "wire")]
    hypervisor = [(host.name, "leg-a"), (host.name, "uplink")] if offloads else []
    for namespace, link in ends + hypervisor:
        run("ip", "netns", "exec", namespace, "ethtool", "-K", link, *(OFFLOADS if offloads else ["tx", "on"]))


def exchange(client: socket.socket, server: socket.socket, sent: bytes) -> None:
    """Both ways, and nothing altered."""
    for one, other in ((client, server), (server, client)):
        other.settimeout(PATIENCE)
        sender = threading.Thread(target=one.sendall, args=(sent,))
        sender.start()
        assert other.makefile("rb").read(len(sent)) == sent
        sender.join()


def wrong_checksums(*wires: Wire) -> list[str]:
    """Of whole TCP and UDP packets that came in by these links; and that some did."""
    seen = [frame[14:] for wire in wires for frame in wire.seen if frame[12:14] == b"\x08\x00" and frame[23] in {6, 17}]
    assert len(seen) > 20
    return [packet.hex() for packet in seen if not p.valid(packet[: int.from_bytes(packet[2:4])])]


def listening(namespace: str, address: str) -> socket.socket:
    with inside(namespace):
        server = socket.create_server((address, 7))
    server.settimeout(PATIENCE)
    return server


@pytest.mark.parametrize("caller", ["guest", "fabric"])
def test_checksums_left_to_hardware_are_right_on_the_next_wire(host: Host, caller: str) -> None:
    """TCP, called by either side: the hypervisor's links complete what the program left partial."""
    stacks(host, offloads=False)
    guests, fabric = host.namespaces
    outward = caller == "guest"
    with listening(*((fabric, PEER) if outward else (guests, WEB_10))) as server:
        with inside(guests if outward else fabric):
            client = socket.create_connection((PEER if outward else WEB, 7), timeout=PATIENCE)
        accepted, peer = server.accept()
    with client, accepted:
        assert peer[0] == (WEB if outward else PEER)
        exchange(client, accepted, bytes(range(256)) * 256)
    host.guest_sends(from_a(udp(WEB_10, PEER)))
    host.fabric_sends(from_fabric(udp(PEER, WEB)))
    assert wrong_checksums(host.a) == wrong_checksums(host.fabric) == []


def test_datagrams_whose_checksum_is_left_to_hardware_arrive(host: Host) -> None:
    stacks(host, offloads=False)
    guests, fabric = host.namespaces
    with inside(guests):
        one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        one.bind((WEB_10, 4000))
    with inside(fabric):
        other = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        other.bind((PEER, 4000))
    with one, other:
        one.settimeout(PATIENCE)
        other.settimeout(PATIENCE)
        for number in range(50):
            one.sendto(b"there %d" % number, (PEER, 4000))
            assert other.recvfrom(100) == (b"there %d" % number, (WEB, 4000))
            other.sendto(b"back %d" % number, (WEB, 4000))
            assert one.recvfrom(100) == (b"back %d" % number, (PEER, 4000))
    host.guest_sends(from_a(udp(WEB_10, PEER)))
    host.fabric_sends(from_fabric(udp(PEER, WEB)))
    assert wrong_checksums(host.a) == wrong_checksums(host.fabric) == []


def test_segments_larger_than_frames_are_rewritten_and_counted_as_what_they_stand_for(host: Host) -> None:
    stacks(host, offloads=True)
    guests, fabric = host.namespaces
    sent = bytes(range(256)) * 4096
    with listening(fabric, PEER) as server:
        with inside(guests):
            client = socket.create_connection((PEER, 7), timeout=PATIENCE)
        accepted, peer = server.accept()
    with client, accepted:
        assert peer[0] == WEB
        exchange(client, accepted, sent)
    assert any(len(frame) > 2000 for frame in host.fabric.waiting()), "a frame held several segments"
    with inside(host.name):
        seen = LinkTraffics(host.guard).of(["leg-a"])["leg-a"]
    for count, total in ((seen.inbound_packets, seen.inbound_bytes), (seen.outbound_packets, seen.outbound_bytes)):
        assert count > len(sent) / 1460
        assert total > len(sent)


def test_a_guest_calls_its_own_public_address(host: Host) -> None:
    stacks(host, offloads=False)
    guests, _ = host.namespaces
    with listening(guests, WEB_10) as server:
        with inside(guests):
            client = socket.create_connection((WEB, 7), timeout=PATIENCE)
        accepted, peer = server.accept()
    with client, accepted:
        assert peer[0] == WEB
        exchange(client, accepted, bytes(10_000))


def test_a_hop_too_few_is_answered_to_the_guest_about_its_own_packet(host: Host) -> None:
    """The host answers what it would forward, to the public address: it comes back rewritten, quote and all."""
    host.a.waiting()
    sent = p.ipv4(WEB_10, PEER, p.UDP, p.udp(WEB_10, PEER, b"trace"), ttl=1)
    host.a.send(from_a(sent))

    host.a.until(lambda frame: frame[23] == p.ICMP)

    packet = host.a.seen[-1][14:]
    assert (packet[16:20], packet[20], packet[28 : 28 + len(sent)]) == (p.packed(WEB_10), 11, sent)
    assert p.valid(packet)
