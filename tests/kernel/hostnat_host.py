"""The guarded hypervisor whose guests have hostnat: a is 10.1.0.5 inside and 198.18.0.5 outside, its neighbour b on the
same host 10.2.0.6 and 198.18.0.6."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address

from dataplane.entries import HostNat
from dataplane.hostnat import HostNats
from tests import packets as p
from tests.kernel.guarded import (
    FABRIC_MAC,
    GATEWAY_MAC,
    MAC,
    MAC_B,
    UPLINK_MAC,
    Host,
)
from tests.kernel.rig import inside, ip, sysctl
from tests.shapes import (
    DB,
    DB_10,
    WEB,
    WEB_10,
)

ROW = HostNat("leg-a", IPv4Address(WEB), IPv4Address(WEB_10), inbound=True, outbound=True)
ROW_B = HostNat("leg-b", IPv4Address(DB), IPv4Address(DB_10), inbound=True, outbound=True)
OTHER_10 = "10.1.0.77"  # a second private address of guest a, without a public one


def put(host: Host, *rows: HostNat) -> None:
    with inside(host.name):
        for row in rows:
            HostNats(host.guard).put(row)


def switched(*, inbound: bool, outbound: bool) -> HostNat:
    return HostNat("leg-a", IPv4Address(WEB), IPv4Address(WEB_10), inbound, outbound)


def furnish(host: Host) -> None:
    """Both guests have their private addresses, and hostnat."""
    host.address, host.neighbour = WEB_10, DB_10
    host.open("leg-a", MAC, f"{WEB_10}/32", f"{OTHER_10}/32")
    host.open("leg-b", MAC_B, f"{DB_10}/32")
    for link, mac, address in (("leg-a", MAC, WEB_10), ("leg-a", MAC, OTHER_10), ("leg-b", MAC_B, DB_10)):
        neighbour = f"neigh add {address} lladdr {mac} dev {link} nud permanent"
        ip(host.name, f"route add {address}/32 dev {link}", neighbour)
    for link in ("all", "leg-a", "leg-b"):
        sysctl(host.name, f"net.ipv4.conf.{link}.send_redirects", "0")
    put(host, ROW, ROW_B)


def from_a(packet: bytes) -> bytes:
    return p.frame(MAC, GATEWAY_MAC, p.IPV4, packet)


def from_fabric(packet: bytes) -> bytes:
    return p.frame(FABRIC_MAC, UPLINK_MAC, p.IPV4, packet)


def hop(packet: bytes) -> bytes:
    """What a router makes of it: one hop fewer, the header's checksum anew, no padding."""
    header = (packet[0] & 15) * 4
    head = packet[:8] + bytes([packet[8] - 1]) + packet[9:10] + bytes(2) + packet[12:header]
    head = head[:10] + struct.pack("!H", p.checksum(head)) + head[12:]
    return head + packet[header : struct.unpack_from("!H", packet, 2)[0]]


def packets(frames: list[bytes]) -> list[bytes]:
    return [frame[14:] for frame in frames]
