"""Frames and packets as bytes, built with valid checksums. Addresses are text; everything is in network byte order."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address, ip_address

ARP, IPV4, IPV6, VLAN = 0x0806, 0x0800, 0x86DD, 0x8100
ICMP, TCP, UDP, ROUTING, FRAGMENT, GRE, ICMPV6, DSTOPTS, UDPLITE = 1, 6, 17, 43, 44, 47, 58, 60, 136
BROADCAST = "ff:ff:ff:ff:ff:ff"
MORE = 0x2000  # fragments follow


def checksum(data: bytes) -> int:
    """RFC 1071, as the number whose big-endian bytes go into the packet."""
    padded = data + b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def packed(address: str) -> bytes:
    return ip_address(address).packed


def mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def frame(source: str, destination: str, ethertype: int, payload: bytes) -> bytes:
    return mac(destination) + mac(source) + struct.pack("!H", ethertype) + payload


def tagged(untagged: bytes, vlan: int) -> bytes:
    """The same frame with an 802.1Q tag."""
    return untagged[:12] + struct.pack("!HH", VLAN, vlan) + untagged[12:]


def arp(operation: int, sender_mac: str, sender: str, target: str, target_mac: str = "00:00:00:00:00:00") -> bytes:
    head = struct.pack("!HHBBH", 1, IPV4, 6, 4, operation)
    return head + mac(sender_mac) + packed(sender) + mac(target_mac) + packed(target)


def ipv4(
    source: str,
    destination: str,
    protocol: int,
    payload: bytes,
    *,
    ttl: int = 64,
    options: bytes = b"",
    fragment: int = 0,
) -> bytes:
    """An IPv4 packet; `fragment` is the 16-bit field of flags and offset."""
    header = 20 + len(options)
    head = struct.pack("!BBHHHBBH", 0x40 | header // 4, 0, header + len(payload), 4711, fragment, ttl, protocol, 0)
    head += packed(source) + packed(destination) + options
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload


def pseudo(source: str, destination: str, protocol: int, length: int) -> bytes:
    both = packed(source) + packed(destination)
    return both + (
        struct.pack("!BBH", 0, protocol, length) if len(both) == 8 else struct.pack("!IHH", length, 0, protocol)
    )


def udp(source: str, destination: str, payload: bytes, *, ports: tuple[int, int] = (4000, 5000)) -> bytes:
    length = 8 + len(payload)
    segment = struct.pack("!HHHH", *ports, length, 0) + payload
    found = checksum(pseudo(source, destination, UDP, length) + segment) or 0xFFFF
    return segment[:6] + struct.pack("!H", found) + segment[8:]


def udplite(source: str, destination: str, payload: bytes, *, coverage: int = 8) -> bytes:
    """RFC 3828; `coverage` in bytes, 0 is all."""
    segment = struct.pack("!HHHH", 4000, 5000, coverage, 0) + payload
    covered = segment[:coverage] if coverage else segment
    found = checksum(pseudo(source, destination, UDPLITE, len(segment)) + covered) or 0xFFFF
    return segment[:6] + struct.pack("!H", found) + segment[8:]


SYN, RST, ACK = 0x02, 0x04, 0x10


def tcp(source: str, destination: str, payload: bytes, *, options: bytes = b"", flags: int = 0x18) -> bytes:
    head = struct.pack("!HHIIBBHHH", 4000, 80, 1, 2, (20 + len(options)) // 4 << 4, flags, 1024, 0, 0)
    segment = head + options + payload
    found = checksum(pseudo(source, destination, TCP, len(segment)) + segment)
    return segment[:16] + struct.pack("!H", found) + segment[18:]


def icmp(type_: int, code: int, rest: int, payload: bytes) -> bytes:
    message = struct.pack("!BBHI", type_, code, 0, rest) + payload
    return message[:2] + struct.pack("!H", checksum(message)) + message[4:]


def ipv6(source: str, destination: str, protocol: int, payload: bytes, *, hops: int = 64) -> bytes:
    head = struct.pack("!IHBB", 6 << 28, len(payload), protocol, hops)
    return head + packed(source) + packed(destination) + payload


def icmp6(source: str, destination: str, type_: int, body: bytes, code: int = 0) -> bytes:
    message = struct.pack("!BBH", type_, code, 0) + body
    found = checksum(pseudo(source, destination, ICMPV6, len(message)) + message)
    return message[:2] + struct.pack("!H", found) + message[4:]


def neighbour(source: str, destination: str, type_: int, target: str) -> bytes:
    """A neighbour solicitation (135) or advertisement (136), as an IPv6 packet. RFC 4861."""
    body = bytes(4) + packed(target)
    return ipv6(source, destination, ICMPV6, icmp6(source, destination, type_, body), hops=255)


def solicited_node(target: str) -> str:
    return str(IPv6Address(int(IPv6Address("ff02::1:ff00:0")) | int(IPv6Address(target)) & 0xFFFFFF))


def solicited_mac(target: str) -> str:
    return mac("33:33:ff:00:00:00")[:3].hex(":") + ":" + packed(target)[-3:].hex(":")


def link_local(of: str) -> str:
    """RFC 4291 appendix A."""
    raw = mac(of)
    return str(IPv6Address(b"\xfe\x80" + bytes(6) + bytes([raw[0] ^ 2]) + raw[1:3] + b"\xff\xfe" + raw[3:]))


def valid(packet: bytes) -> bool:
    """Whether the checksums of an unfragmented IPv4 packet hold: header, then TCP, UDP or ICMP."""
    header = (packet[0] & 15) * 4
    if checksum(packet[:header]):
        return False
    source, destination = (str(IPv4Address(packet[at : at + 4])) for at in (12, 16))
    segment = packet[header : struct.unpack_from("!H", packet, 2)[0]]
    if packet[9] == ICMP:
        return not checksum(segment)
    if packet[9] in {TCP, UDP}:
        unused = packet[9] == UDP and segment[6:8] == bytes(2)
        return unused or not checksum(pseudo(source, destination, packet[9], len(segment)) + segment)
    return True
