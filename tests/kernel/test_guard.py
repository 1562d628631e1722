"""The guard of a guest's link in the kernel: what a guest may send, and what may be sent to it.

A guest is a raw socket on the far end of a veth; what it sends must come out at the host's uplink, or be dropped. Each
frame is followed by a last one that passes, so that what has not come by then does not come.
"""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest

from dataplane.bpf import build
from dataplane.driver import DriverError
from dataplane.entries import GuardAddress, GuardPort
from dataplane.guard import REASONS, Guard, GuardPorts
from tests import packets as p
from tests.kernel.guarded import (
    A_6,
    A_NET,
    ANY,
    B_6,
    FABRIC_MAC,
    FAR,
    FAR_6,
    GATEWAY,
    GATEWAY_6,
    GATEWAY_MAC,
    HOST,
    HOST_6,
    LL,
    LL_B,
    MAC,
    MAC_B,
    OFFLOADS,
    PROBE,
    PROBE_6,
    STRAY,
    STRAY_6,
    UPLINK_MAC,
    A,
    B,
    Host,
    made,
    network,
)
from tests.kernel.rig import PATIENCE, inside, ip, needs_root, run

pytestmark = needs_root


@pytest.fixture
def host(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    with made(tmp_path, tmp_path_factory) as host:
        yield host


def furnish(host: Host) -> None:
    """Both guests get their addresses."""
    host.open("leg-a", MAC, f"{A}/32", A_NET)
    host.open("leg-b", MAC_B, f"{B}/32", "2001:db8:6::/64")


def from_a(ethertype: int, payload: bytes, *, source: str = MAC, to: str = GATEWAY_MAC) -> bytes:
    return p.frame(source, to, ethertype, payload)


def udp4(source: str, destination: str, ports: tuple[int, int] = (4000, 5000)) -> bytes:
    return p.ipv4(source, destination, p.UDP, p.udp(source, destination, b"hello", ports=ports))


def udp6(source: str, destination: str, ports: tuple[int, int] = (4000, 5000)) -> bytes:
    return p.ipv6(source, destination, p.UDP, p.udp(source, destination, b"hello", ports=ports))


def icmp6(source: str, destination: str, type_: int, body: bytes = bytes(4), *, hops: int = 255) -> bytes:
    return p.ipv6(source, destination, p.ICMPV6, p.icmp6(source, destination, type_, body), hops=hops)


def behind(packet: bytes, *headers: tuple[int, bytes]) -> bytes:
    """An IPv6 packet with extension headers put in, each (its number, its body after the next-header byte)."""
    chain, following = b"", packet[6]
    for number, body in reversed(headers):
        chain, following = bytes([following]) + body + chain, number
    source, destination = (str(ip_address(packet[at : at + 16])) for at in (8, 24))
    return p.ipv6(source, destination, following, chain + packet[40:], hops=packet[7])


def solicitation(source: str, target: str, *, to: str | None = None) -> bytes:
    return p.neighbour(source, to or p.solicited_node(target), 135, target)


def from_afar(packet: bytes) -> bytes:
    """An IPv6 packet that may have crossed a router: hop limit 254."""
    return packet[:7] + b"\xfe" + packet[8:]


def from_a_to_group(packet: bytes, target: str) -> bytes:
    return from_a(p.IPV6, packet, to=p.solicited_mac(target))


def tcp4(flags: int, payload: bytes = b"", to: str = PROBE, fragment: int = 0) -> bytes:
    segment = p.tcp(A, to, payload, options=b"\2\4\5\xb4", flags=flags)  # with a segment size, as stacks send it
    return from_a(p.IPV4, p.ipv4(A, to, p.TCP, segment, fragment=fragment))


def tcp6(flags: int, payload: bytes = b"", to: str = PROBE_6) -> bytes:
    segment = p.tcp(A_6, to, payload, options=b"\2\4\5\xb4", flags=flags)
    return p.ipv6(A_6, to, p.TCP, segment)


PADDING = b"\x00\x01\x04" + bytes(4)  # destination options: PadN
FIRST, LATER = b"\x00\x00\x01" + bytes(4), b"\x00\x00\x09" + bytes(4)  # fragment header: offset 0, offset 8; more
PING = p.icmp(8, 0, 7, b"ping")
PONG = p.icmp(0, 0, 7, b"ping")
DHCP_REPLY = udp4(A, FAR, (67, 68))
ADVERT = icmp6(A_6, FAR_6, 134, bytes(12))

# description, frame from guest a, counter that moves
SENT = [
    ("IPv4 from its address", from_a(p.IPV4, udp4(A, FAR)), "passed_from_guest"),
    ("IPv6 from its prefix", from_a(p.IPV6, udp6(A_6, FAR_6)), "passed_from_guest"),
    ("IPv6 from elsewhere in its prefix", from_a(p.IPV6, udp6("2001:db8:5::ffff", FAR_6)), "passed_from_guest"),
    ("to its neighbour", from_a(p.IPV4, udp4(A, B)), "passed_from_guest"),
    ("a later fragment", from_a(p.IPV4, p.ipv4(A, FAR, p.UDP, b"rest", fragment=2)), "passed_from_guest"),
    ("a later IPv6 fragment", from_a(p.IPV6, behind(udp6(A_6, FAR_6), (p.FRAGMENT, LATER))), "passed_from_guest"),
    ("GRE", from_a(p.IPV4, p.ipv4(A, FAR, p.GRE, b"\0\0\x08\0")), "passed_from_guest"),
    ("echo to the gateway", from_a(p.IPV4, p.ipv4(A, GATEWAY, p.ICMP, PING)), "passed_from_guest"),
    ("echo to the IPv6 gateway", from_a(p.IPV6, icmp6(A_6, GATEWAY_6, 128)), "passed_from_guest"),
    ("echo from its link-local address", from_a(p.IPV6, icmp6(LL, GATEWAY_6, 128)), "passed_from_guest"),
    ("ARP for the gateway", from_a(p.ARP, p.arp(1, MAC, A, GATEWAY), to=p.BROADCAST), "passed_from_guest"),
    ("ARP probe", from_a(p.ARP, p.arp(1, MAC, ANY, GATEWAY), to=p.BROADCAST), "passed_from_guest"),
    ("solicits the gateway", from_a_to_group(solicitation(LL, GATEWAY_6), GATEWAY_6), "passed_from_guest"),
    ("solicits from its address", from_a_to_group(solicitation(A_6, GATEWAY_6), GATEWAY_6), "passed_from_guest"),
    ("asks the gateway alone", from_a(p.IPV6, solicitation(LL, GATEWAY_6, to=GATEWAY_6)), "passed_from_guest"),
    ("duplicate address detection", from_a_to_group(solicitation("::", A_6), A_6), "passed_from_guest"),
    ("the same of its link-local address", from_a_to_group(solicitation("::", LL), LL), "passed_from_guest"),
    ("advertises itself", from_a(p.IPV6, p.neighbour(A_6, GATEWAY_6, 136, A_6)), "passed_from_guest"),
    ("answers a health check", from_a(p.IPV4, p.ipv4(A, PROBE, p.ICMP, PONG)), "passed_from_guest"),
    ("answers one by IPv6", from_a(p.IPV6, icmp6(A_6, PROBE_6, 129)), "passed_from_guest"),
    ("accepts a health check's connection", tcp4(p.SYN | p.ACK), "passed_from_guest"),
    ("the same by IPv6", from_a(p.IPV6, tcp6(p.SYN | p.ACK)), "passed_from_guest"),
    ("another's MAC", from_a(p.IPV4, udp4(A, FAR), source=MAC_B), "dropped_mac"),
    ("tagged", p.tagged(from_a(p.IPV4, udp4(A, FAR)), 5), "dropped_vlan"),
    ("tagged twice", p.tagged(p.tagged(from_a(p.IPV4, udp4(A, FAR)), 5), 6), "dropped_vlan"),
    ("tagged with 0", p.tagged(from_a(p.IPV6, ADVERT), 0), "dropped_vlan"),
    ("LLDP", from_a(0x88CC, bytes(50)), "dropped_ethertype"),
    ("a length field for a type", from_a(50, bytes(50)), "dropped_ethertype"),
    ("RARP", from_a(0x8035, p.arp(3, MAC, A, A)), "dropped_ethertype"),
    ("another's IPv4", from_a(p.IPV4, udp4(B, FAR)), "dropped_source"),
    ("another's IPv6", from_a(p.IPV6, udp6(B_6, FAR_6)), "dropped_source"),
    ("IPv4 from no address", from_a(p.IPV4, udp4(ANY, FAR)), "dropped_source"),
    ("IPv4 from the gateway", from_a(p.IPV4, udp4(GATEWAY, FAR)), "dropped_source"),
    ("IPv6 from the gateway", from_a(p.IPV6, icmp6(GATEWAY_6, LL, 128)), "dropped_source"),
    ("another's link-local address", from_a(p.IPV6, icmp6(LL_B, GATEWAY_6, 128)), "dropped_source"),
    ("its link-local address to the world", from_a(p.IPV6, udp6(LL, FAR_6)), "dropped_source"),
    ("a later fragment from another", from_a(p.IPV4, p.ipv4(B, FAR, p.UDP, b"rest", fragment=2)), "dropped_source"),
    ("IHL 4", from_a(p.IPV4, b"\x44" + udp4(A, FAR)[1:]), "dropped_length"),
    ("IPv4 cut short", from_a(p.IPV4, udp4(A, FAR)[:-1]), "dropped_length"),
    ("IPv6 cut short", from_a(p.IPV6, udp6(A_6, FAR_6)[:-1]), "dropped_length"),
    ("IPv4 in an IPv6 frame", from_a(p.IPV6, udp4(A, FAR) + bytes(40)), "dropped_length"),
    ("UDP without ports", from_a(p.IPV4, p.ipv4(A, FAR, p.UDP, b"\0")), "dropped_length"),
    ("broadcast", from_a(p.IPV4, udp4(A, "255.255.255.255"), to=p.BROADCAST), "dropped_destination"),
    ("a broadcast frame to one", from_a(p.IPV4, udp4(A, B), to=p.BROADCAST), "dropped_destination"),
    ("multicast", from_a(p.IPV4, udp4(A, "224.0.0.5")), "dropped_destination"),
    ("link-local IPv4 of others", from_a(p.IPV4, udp4(A, "169.254.7.7")), "dropped_destination"),
    ("metadata by IPv4", from_a(p.IPV4, udp4(A, "169.254.169.254")), "dropped_destination"),
    ("loopback", from_a(p.IPV4, udp4(A, "127.0.0.1")), "dropped_destination"),
    ("IPv6 loopback", from_a(p.IPV6, udp6(A_6, "::1")), "dropped_destination"),
    ("IPv4 in disguise", from_a(p.IPV6, udp6(A_6, "::ffff:172.31.0.1")), "dropped_destination"),
    ("IPv6 multicast", from_a(p.IPV6, udp6(A_6, "ff02::1")), "dropped_destination"),
    ("multicast listener report", from_a(p.IPV6, icmp6(LL, "ff02::16", 143)), "dropped_destination"),
    ("link-local of others", from_a(p.IPV6, icmp6(LL, LL_B, 128)), "dropped_destination"),
    ("UDP to the IPv6 gateway", from_a(p.IPV6, udp6(A_6, GATEWAY_6)), "dropped_destination"),
    ("TCP to the gateway", from_a(p.IPV4, p.ipv4(A, GATEWAY, p.TCP, p.tcp(A, GATEWAY, b""))), "dropped_host_plane"),
    ("the host", from_a(p.IPV4, udp4(A, HOST)), "dropped_host_plane"),
    ("another host", from_a(p.IPV4, udp4(A, "172.31.9.9")), "dropped_host_plane"),
    ("the host by IPv6", from_a(p.IPV6, udp6(A_6, HOST_6)), "dropped_host_plane"),
    ("an answer to another host", from_a(p.IPV4, p.ipv4(A, "172.31.9.9", p.ICMP, PONG)), "dropped_host_plane"),
    ("an answer to the host by IPv6", from_a(p.IPV6, icmp6(A_6, HOST_6, 129)), "dropped_host_plane"),
    ("echo to where checks come from", from_a(p.IPV4, p.ipv4(A, PROBE, p.ICMP, PING)), "dropped_host_plane"),
    ("the same by IPv6", from_a(p.IPV6, icmp6(A_6, PROBE_6, 128)), "dropped_host_plane"),
    ("UDP to where checks come from", from_a(p.IPV4, udp4(A, PROBE)), "dropped_host_plane"),
    ("the same by IPv6", from_a(p.IPV6, udp6(A_6, PROBE_6)), "dropped_host_plane"),
    ("UDP that looks like an answer", from_a(p.IPV4, udp4(A, PROBE, (0, 0))), "dropped_host_plane"),
    ("an answer in fragments", from_a(p.IPV4, p.ipv4(A, PROBE, p.ICMP, PONG, fragment=p.MORE)), "dropped_host_plane"),
    ("its rest", from_a(p.IPV4, p.ipv4(A, PROBE, p.ICMP, PONG, fragment=2)), "dropped_host_plane"),
    ("connects to where checks come from", tcp4(p.SYN), "dropped_host_plane"),
    ("talks to it", tcp4(p.ACK, b"hello"), "dropped_host_plane"),
    ("resets it", tcp4(p.RST | p.ACK), "dropped_host_plane"),
    ("data with what accepts", tcp4(p.SYN | p.ACK, b"hello"), "dropped_host_plane"),
    ("what accepts, in fragments", tcp4(p.SYN | p.ACK, fragment=p.MORE), "dropped_host_plane"),
    ("accepts another host's", tcp4(p.SYN | p.ACK, to="172.31.9.9"), "dropped_host_plane"),
    ("connects by IPv6", from_a(p.IPV6, tcp6(p.SYN)), "dropped_host_plane"),
    ("data with what accepts, by IPv6", from_a(p.IPV6, tcp6(p.SYN | p.ACK, b"hello")), "dropped_host_plane"),
    (
        "what accepts by IPv6, in fragments",
        from_a(p.IPV6, behind(tcp6(p.SYN | p.ACK), (p.FRAGMENT, FIRST))),
        "dropped_host_plane",
    ),
    (
        "an IPv6 answer in fragments",
        from_a(p.IPV6, behind(icmp6(A_6, PROBE_6, 129), (p.FRAGMENT, FIRST))),
        "dropped_host_plane",
    ),
    ("ARP as its neighbour", from_a(p.ARP, p.arp(1, MAC, B, GATEWAY)), "dropped_arp"),
    ("ARP with another's MAC inside", from_a(p.ARP, p.arp(1, MAC_B, A, GATEWAY)), "dropped_arp"),
    ("ARP for its neighbour", from_a(p.ARP, p.arp(1, MAC, A, B)), "dropped_arp"),
    ("gratuitous ARP of the gateway", from_a(p.ARP, p.arp(2, MAC, GATEWAY, GATEWAY)), "dropped_arp"),
    ("ARP cut short", from_a(p.ARP, p.arp(1, MAC, A, GATEWAY)[:27]), "dropped_length"),
    ("ARP for IPv6", from_a(p.ARP, b"\0\1\x86\xdd" + p.arp(1, MAC, A, GATEWAY)[4:]), "dropped_arp"),
    ("router advertisement", from_a(p.IPV6, icmp6(LL, "ff02::1", 134, bytes(12))), "dropped_nd"),
    ("the same to one", from_a(p.IPV6, ADVERT), "dropped_nd"),
    ("the same behind options", from_a(p.IPV6, behind(ADVERT, (p.DSTOPTS, PADDING))), "dropped_nd"),
    ("the same as a fragment", from_a(p.IPV6, behind(ADVERT, (p.FRAGMENT, FIRST))), "dropped_nd"),
    (
        "the same behind both",
        from_a(p.IPV6, behind(ADVERT, (p.DSTOPTS, PADDING), (p.FRAGMENT, FIRST), (p.DSTOPTS, PADDING))),
        "dropped_nd",
    ),
    ("router solicitation", from_a(p.IPV6, icmp6(LL, "ff02::2", 133)), "dropped_nd"),
    ("redirect", from_a(p.IPV6, icmp6(A_6, FAR_6, 137, bytes(36))), "dropped_nd"),
    ("solicits its neighbour", from_a_to_group(solicitation(LL, LL_B), LL_B), "dropped_nd"),
    ("detects its neighbour's address", from_a_to_group(solicitation("::", B_6), B_6), "dropped_nd"),
    ("advertises its neighbour", from_a(p.IPV6, p.neighbour(A_6, GATEWAY_6, 136, B_6)), "dropped_nd"),
    ("advertises the gateway", from_a(p.IPV6, p.neighbour(LL, GATEWAY_6, 136, GATEWAY_6)), "dropped_nd"),
    ("advertises to all", from_a(p.IPV6, p.neighbour(A_6, "ff02::1", 136, A_6)), "dropped_nd"),
    ("neighbour discovery from afar", from_a(p.IPV6, from_afar(p.neighbour(A_6, GATEWAY_6, 136, A_6))), "dropped_nd"),
    (
        "a fragmented solicitation",
        from_a(p.IPV6, behind(solicitation(LL, GATEWAY_6, to=GATEWAY_6), (p.FRAGMENT, FIRST))),
        "dropped_nd",
    ),
    ("DHCP server", from_a(p.IPV4, DHCP_REPLY), "dropped_dhcp_server"),
    (
        "the same as a fragment",
        from_a(p.IPV4, p.ipv4(A, FAR, p.UDP, DHCP_REPLY[20:], fragment=p.MORE)),
        "dropped_dhcp_server",
    ),
    ("DHCPv6 server", from_a(p.IPV6, udp6(A_6, FAR_6, (547, 546))), "dropped_dhcp_server"),
    (
        "the same behind options",
        from_a(p.IPV6, behind(udp6(A_6, FAR_6, (547, 546)), (0, PADDING))),
        "dropped_dhcp_server",
    ),
    ("routing header", from_a(p.IPV6, behind(udp6(A_6, FAR_6), (p.ROUTING, bytes(7)))), "dropped_headers"),
    ("seven headers", from_a(p.IPV6, behind(udp6(A_6, FAR_6), *[(p.DSTOPTS, PADDING)] * 7)), "dropped_headers"),
    ("a chain cut off", from_a(p.IPV6, p.ipv6(A_6, FAR_6, p.DSTOPTS, b"\x3a")), "dropped_length"),
    (
        "a first fragment without its header",
        from_a(p.IPV6, p.ipv6(A_6, FAR_6, p.FRAGMENT, b"\x3a" + FIRST)),
        "dropped_length",
    ),
]


def routed(frame: bytes) -> bytes:
    """What stays the same of a packet on its way: all but the hop count and the checksum over it."""
    return frame[26:] if frame[12:14] == b"\x08\x00" else frame[22:]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """For rows that leave nothing behind."""
    with made(tmp_path_factory.mktemp("guard"), tmp_path_factory) as host:
        furnish(host)
        yield host


@pytest.mark.parametrize(("case", "frame", "reason"), SENT, ids=[row[0] for row in SENT])
def test_what_a_guest_sends(shared: Host, case: str, frame: bytes, reason: str) -> None:
    before = shared.guard.counters()

    left = shared.guest_sends(frame)

    counted = {name: count - before[name] for name, count in shared.guard.counters().items()}
    passes = reason == "passed_from_guest"
    assert (counted["passed_from_guest"], counted[reason] > 0) == (1 + passes, True), case  # and the last frame
    away = {p.packed(address) for address in (FAR, FAR_6, PROBE, PROBE_6)}
    leaves = passes and not away.isdisjoint((frame[30:34], frame[38:54]))
    assert [routed(each) for each in left] == ([routed(frame)] if leaves else []), case


# description, frame from the fabric, and whether guest a gets it
RECEIVED = [
    ("IPv4 to its address", p.IPV4, udp4(FAR, A), True),
    ("IPv6 into its prefix", p.IPV6, udp6(FAR_6, A_6), True),
    ("a later fragment", p.IPV4, p.ipv4(FAR, A, p.UDP, b"rest", fragment=2), True),
]


@pytest.mark.parametrize(("case", "ethertype", "packet", "arrives"), RECEIVED, ids=[row[0] for row in RECEIVED])
def test_what_is_sent_to_a_guest(shared: Host, case: str, ethertype: int, packet: bytes, arrives: bool) -> None:
    frame = p.frame(FABRIC_MAC, UPLINK_MAC, ethertype, packet)

    assert [routed(each) for each in shared.fabric_sends(frame)] == ([routed(frame)] if arrives else []), case


def test_a_route_that_leads_astray_ends_at_the_guard(host: Host) -> None:
    """The forwarding table names a's link for addresses that are not a's: counted apart, for this must never be."""
    furnish(host)
    before = host.guard.counters()
    ip(host.name, f"route add 198.18.9.9 via {A} dev leg-a onlink", f"route add 2001:db8:9::/64 via {LL} dev leg-a")
    for packet, ethertype in ((udp4(FAR, "198.18.9.9"), p.IPV4), (udp6(FAR_6, "2001:db8:9::9"), p.IPV6)):
        assert host.fabric_sends(p.frame(FABRIC_MAC, UPLINK_MAC, ethertype, packet)) == []

    counted = {name: count - before[name] for name, count in host.guard.counters().items() if count != before[name]}
    counted.pop("dropped_destination", None)  # the host's own multicast
    assert counted == {"dropped_not_its_address": 2, "passed_to_guest": 2}  # and the last frames


def test_a_port_without_ipv6_counts_what_is_anothers(host: Host) -> None:
    host.open("leg-a", MAC, f"{A}/32")

    assert host.fabric_sends(p.frame(FABRIC_MAC, UPLINK_MAC, p.IPV6, udp6(FAR_6, A_6))) == []

    assert host.guard.counters()["dropped_not_its_address"] == 1


def test_the_gateway_answers_its_guest(shared: Host) -> None:
    shared.a.waiting()
    shared.a.send(
        from_a(p.ARP, p.arp(1, MAC, A, GATEWAY), to=p.BROADCAST),
        from_a_to_group(solicitation(LL, GATEWAY_6), GATEWAY_6),
        from_a(p.IPV6, icmp6(LL, GATEWAY_6, 128)),
        from_a(p.IPV4, p.ipv4(A, GATEWAY, p.ICMP, PING)),
    )

    frames = shared.a.until(lambda frame: frame[12:14] == b"\x08\x00" and frame[34] == 0)

    assert [frame[20:22] for frame in frames if frame[12:14] == b"\x08\x06"] == [b"\x00\x02"]
    assert sorted(frame[54] for frame in frames if frame[12:14] == b"\x86\xdd") == [129, 136]


def test_a_real_stack_talks_through_the_guard_with_offloads(host: Host) -> None:
    """ARP for the gateway, TCP in segments larger than frames, and checksums that are left to hardware."""
    furnish(host)
    guests, fabric = host.namespaces
    ip(guests, f"addr add {A}/32 dev nic-a", f"route add default via {GATEWAY} dev nic-a onlink src {A}")
    ip(
        fabric,
        "addr add 172.31.0.2/24 dev wire",
        f"addr add {FAR}/32 dev lo",
        f"route add {A} via 172.31.0.1 src {FAR}",
    )
    for namespace, link in ((host.name, "leg-a"), (host.name, "uplink"), (guests, "nic-a"), (fabric, "wire")):
        run("ip", "netns", "exec", namespace, "ethtool", "-K", link, *OFFLOADS)
    sent = bytes(range(256)) * 4096
    with inside(fabric):
        server = socket.create_server((FAR, 7))
    server.settimeout(PATIENCE)
    with inside(guests):
        client = socket.create_connection((FAR, 7), timeout=PATIENCE)
    accepted, peer = server.accept()
    assert peer[0] == A
    with server, client, accepted:
        for one, other in ((client, accepted), (accepted, client)):
            other.settimeout(PATIENCE)
            sender = threading.Thread(target=one.sendall, args=(sent,))
            sender.start()
            assert other.makefile("rb").read(len(sent)) == sent
            sender.join()
    assert host.guard.counters()["dropped_length"] == 0


def passes_nothing(host: Host) -> None:
    """No row of SENT leaves guest a's link, and nothing comes to it; b's traffic shows that all has been worked off."""
    for _, frame, _ in SENT:
        host.a.send(frame)
    host.fabric.send(*(p.frame(FABRIC_MAC, UPLINK_MAC, ethertype, packet) for _, ethertype, packet, _ in RECEIVED))
    # what makes the host itself speak to the guest: ARP, solicitation, echo
    for ethertype, packet in ((p.IPV4, udp4(FAR, STRAY)), (p.IPV6, udp6(FAR_6, STRAY_6))):
        host.fabric.send(p.frame(FABRIC_MAC, UPLINK_MAC, ethertype, packet))
    with (
        inside(host.name),
        socket.socket(socket.AF_INET6, socket.SOCK_RAW, p.ICMPV6) as icmp,
        pytest.raises(OSError, match="No buffer space"),  # dropped on the way out
    ):
        icmp.sendto(b"\x80" + bytes(7), (LL, 0, 0, socket.if_nametoindex("leg-a")))
    host.b.send(p.frame(MAC_B, GATEWAY_MAC, p.IPV4, udp4(B, A)))
    host.b.send(p.frame(MAC_B, GATEWAY_MAC, p.IPV4, p.ipv4(B, FAR, p.UDP, p.udp(B, FAR, b"the end"))))
    assert host.fabric.until(lambda frame: b"the end" in frame) == []
    assert host.a.waiting() == []


def test_without_a_row_nothing_passes(host: Host) -> None:
    host.open("leg-b", MAC_B, f"{B}/32")

    passes_nothing(host)

    counted = host.guard.counters()
    assert counted["dropped_no_port"] >= len(SENT) + len(RECEIVED) + 1


def test_an_isolated_port_passes_nothing(host: Host) -> None:
    """It has a row, and no address: not even ARP and neighbour discovery."""
    host.open("leg-b", MAC_B, f"{B}/32")
    host.open("leg-a", MAC)

    passes_nothing(host)

    counted = host.guard.counters()
    assert counted["dropped_no_address"] > 0
    assert counted["passed_to_guest"] == 0
    assert counted["passed_from_guest"] == 2  # b's


def test_a_port_without_ipv6_has_no_neighbour_discovery(host: Host) -> None:
    host.open("leg-a", MAC, f"{A}/32")

    assert host.guest_sends(from_a_to_group(solicitation("::", LL), LL)) == []
    assert host.guard.counters()["dropped_no_address"] >= 1


def test_the_row_of_the_port_closes_and_opens_the_link(host: Host) -> None:
    furnish(host)
    with inside(host.name):
        host.ports.drop(GuardPort("leg-a", MAC))
        host.ports.drop(GuardPort("leg-a", MAC))
    passes_nothing(host)

    host.open("leg-a", MAC)

    assert len(host.guest_sends(from_a(p.IPV4, udp4(A, FAR)))) == 1


def test_a_dropped_address_is_refused_at_once(host: Host) -> None:
    furnish(host)
    host.open("leg-a", MAC, "198.18.0.9/32")
    with inside(host.name):
        host.addresses.drop(GuardAddress("leg-a", network("198.18.0.9/32")))

    assert host.guest_sends(from_a(p.IPV4, udp4("198.18.0.9", FAR))) == []


def test_the_last_address_takes_arp_with_it(host: Host) -> None:
    furnish(host)
    host.open("leg-b", MAC_B, f"{B}/32")
    with inside(host.name):
        for prefix in (f"{A}/32", A_NET):
            host.addresses.drop(GuardAddress("leg-a", network(prefix)))
            host.addresses.drop(GuardAddress("leg-a", network(prefix)))

    passes_nothing(host)


def test_rows_are_read_back_by_link_name(host: Host) -> None:
    furnish(host)
    port, narrow, wide = (
        GuardPort("leg-a", MAC),
        GuardAddress("leg-a", network("2001:db8:5::/80")),
        GuardAddress("leg-a", network(A_NET)),
    )
    with inside(host.name):
        assert host.ports.observe() == {"leg-a": port, "leg-b": GuardPort("leg-b", MAC_B)}
        assert host.ports.observe(["leg-a", "absent"]) == {"leg-a": port}
        assert len(host.addresses.observe()) == 4
        # a row that only a wider one covers is none
        assert host.addresses.observe([narrow.key, wide.key, ("absent", wide.prefix)]) == {wide.key: wide}
        host.addresses.put(narrow)
        host.addresses.put(narrow)
        assert host.addresses.observe([narrow.key]) == {narrow.key: narrow}
        host.addresses.drop(narrow)
        assert set(host.addresses.observe([narrow.key, wide.key])) == {wide.key}


@pytest.mark.parametrize("direction", ["ingress", "egress"])
def test_a_link_without_its_filters_is_not_observed_and_is_healed_by_put(host: Host, direction: str) -> None:
    furnish(host)
    run("ip", "netns", "exec", host.name, "tc", "filter", "del", "dev", "leg-a", direction)
    with inside(host.name):
        assert not host.guard.attached("leg-a")
        assert set(host.ports.observe()) == {"leg-b"}
        assert {entry.link for entry in host.addresses.observe().values()} == {"leg-b"}

        host.ports.put(GuardPort("leg-a", MAC))

        assert host.guard.attached("leg-a")
        assert host.ports.observe(["leg-a"])
        assert not host.addresses.observe([("leg-a", network(f"{A}/32"))])  # forgotten: put again
        host.addresses.put(GuardAddress("leg-a", network(f"{A}/32")))
    assert len(host.guest_sends(from_a(p.IPV4, udp4(A, FAR)))) == 1


def test_a_new_link_does_not_inherit_the_rows_of_an_old_one(host: Host) -> None:
    """Interface numbers come again; here at once, by asking for the same."""
    furnish(host)
    number = index_of(host, "leg-a")
    ip(host.name, "link del leg-a", f"link add leg-a index {number} type veth peer name other-end")
    assert index_of(host, "leg-a") == number
    with inside(host.name):
        assert "leg-a" not in host.ports.observe()

        host.guard.attach("leg-a")

        assert host.guard.attached("leg-a")
        assert "leg-a" not in host.ports.observe()
        assert ("leg-a", network(f"{A}/32")) not in host.addresses.observe()


def test_a_restarted_agent_finds_the_rows_and_forgets_those_of_vanished_links(host: Host) -> None:
    furnish(host)
    ip(host.name, "link del leg-b")
    with inside(host.name):
        host.guard = Guard(host.pins, host.cache)

        assert host.guard.attached("leg-a")
        assert host.ports.observe() == {"leg-a": GuardPort("leg-a", MAC)}
        assert len(list(host.guard.prefixes)) == 2
        assert len(list(host.guard.ports)) == 1
    assert len(host.guest_sends(from_a(p.IPV4, udp4(A, FAR)))) == 1


def test_a_new_build_replaces_the_programs_under_traffic(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """An upgrade: other programs, the same rows; nothing is lost between."""
    furnish(host)
    monkeypatch.setattr("dataplane.bpf.build.PROGRAM", (*build.PROGRAM, "-DANOTHER_BUILD"))
    frames = [from_a(p.IPV4, p.ipv4(A, FAR, p.UDP, p.udp(A, FAR, b"number %06d" % number))) for number in range(3000)]
    sender = threading.Thread(target=host.a.send, args=frames)
    sender.start()
    with inside(host.name):
        newer = Guard(host.pins, host.cache)
        assert not newer.attached("leg-a")
        newer.attach("leg-a")
        assert newer.attached("leg-a")
        assert not host.guard.attached("leg-a")
        assert set(GuardPorts(newer).observe()) == {"leg-a"}
    sender.join()

    assert [routed(frame) for frame in host.guest_sends(frames[0])] == [routed(frame) for frame in [*frames, frames[0]]]
    with inside(host.name):
        newer.attach("leg-b")
        Guard(host.pins, host.cache)
    assert len(list((host.pins / "guard").glob("from_guest-*"))) == 1  # the earlier build's is gone


def test_a_row_that_would_allow_everything_is_refused(host: Host) -> None:
    with inside(host.name):
        for prefix in ("0.0.0.0/0", "::/0", "::/2"):
            with pytest.raises(DriverError):
                host.addresses.put(GuardAddress("leg-a", network(prefix)))
        with pytest.raises(DriverError):
            host.ports.put(GuardPort("absent", MAC))
        host.ports.drop(GuardPort("absent", MAC))
        host.addresses.drop(GuardAddress("absent", network(A_NET)))


def test_the_names_of_the_reasons_are_the_header_s() -> None:
    header = (build.HERE / "maps.h").read_text()
    names = re.findall(r"^\tGUARD_(\w+),", header.split("enum guard_reason {")[1].split("};")[0], re.MULTILINE)

    assert tuple(name.lower() for name in names[:-1]) == REASONS


def index_of(host: Host, link: str) -> int:
    with inside(host.name):
        return socket.if_nametoindex(link)
