"""Packets of every shape that a rewrite of addresses meets: sound, odd, refused, random."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable

from tests import packets as p

PEER, WEB, WEB_10, DB, DB_10 = "192.0.2.7", "198.18.0.5", "10.1.0.5", "198.18.0.6", "10.2.0.6"

Build = Callable[[str, str], bytes]  # of a source and a destination


def quoting(inner: bytes, outer: tuple[str, str], type_: int = 3, code: int = 1) -> bytes:
    """An ICMP error about `inner`."""
    return p.ipv4(*outer, p.ICMP, p.icmp(type_, code, 0, inner))


def altered(packet: bytes, at: int, new: bytes) -> bytes:
    return packet[:at] + new + packet[at + len(new) :]


def udp(source: str, destination: str, payload: bytes = b"hello") -> bytes:
    return p.ipv4(source, destination, p.UDP, p.udp(source, destination, payload))


def tcp(source: str, destination: str, *, options: bytes = b"") -> bytes:
    return p.ipv4(source, destination, p.TCP, p.tcp(source, destination, b"hello", options=options))


def with_options(source: str, destination: str, options: bytes) -> bytes:
    payload = p.tcp(source, destination, b"hello", options=b"\x02\x04\x05\xb4")
    return p.ipv4(source, destination, p.TCP, payload, options=options)


def unchecked(source: str, destination: str) -> bytes:
    return altered(udp(source, destination), 26, bytes(2))


def partial(source: str, destination: str) -> bytes:
    """As a veth carries it: the checksum field holds the pseudo header's sum."""
    payload = p.tcp(source, destination, b"hello")
    field = ~p.checksum(p.pseudo(source, destination, p.TCP, len(payload))) & 0xFFFF
    return p.ipv4(source, destination, p.TCP, altered(payload, 16, struct.pack("!H", field)))


def fragment(source: str, destination: str, field: int) -> bytes:
    whole = p.udp(PEER, WEB if source == PEER else PEER, bytes(64))
    return p.ipv4(source, destination, p.UDP, whole[(field & 0x1FFF) * 8 :][:32], fragment=field)


NOPS = b"\x01" * 8
RECORD = b"\x07\x0b\x04" + bytes(8) + b"\0"  # record route
# description, packet in (source, destination unset), expected out: built twice with other addresses
BOTH_ENDS: list[tuple[str, Build]] = [
    ("TCP", tcp),
    ("UDP", udp),
    ("UDP without checksum keeps 0", unchecked),
    ("partial checksum stays partial", partial),
    ("TCP options behind IP options", lambda s, d: with_options(s, d, NOPS)),
    ("IP header of 60 bytes", lambda s, d: with_options(s, d, b"\x01" * 40)),
    ("record route is left", lambda s, d: with_options(s, d, RECORD)),
    ("UDP-Lite that covers its header", lambda s, d: p.ipv4(s, d, p.UDPLITE, p.udplite(s, d, b"hello"))),
    ("UDP-Lite that covers all", lambda s, d: p.ipv4(s, d, p.UDPLITE, p.udplite(s, d, b"hello", coverage=0))),
    ("echo", lambda s, d: p.ipv4(s, d, p.ICMP, p.icmp(8, 0, 7, b"hello"))),
    ("GRE", lambda s, d: p.ipv4(s, d, p.GRE, b"\x00\x00\x08\x00hello")),
    ("a later fragment", lambda s, d: p.ipv4(s, d, p.UDP, b"fragment", fragment=0x0004)),
    ("a later fragment that looks like TCP", lambda s, d: p.ipv4(s, d, p.TCP, b"\0" * 40, fragment=0x2004)),
    ("a protocol without payload", lambda s, d: p.ipv4(s, d, 132, b"")),
    ("padding behind the packet", lambda s, d: udp(s, d) + b"\0" * 18),
]

ERRORS = [(3, 1), (4, 0), (5, 1), (11, 0), (12, 0)]
INNER: list[tuple[str, Build, int]] = [
    ("TCP", tcp, 9999),
    ("UDP", udp, 9999),
    ("UDP without checksum", unchecked, 9999),
    ("options in the inner header", lambda s, d: with_options(s, d, NOPS), 9999),
    ("eight bytes of TCP", tcp, 28),
    ("eight bytes of UDP", udp, 28),
    ("no byte of UDP", udp, 20),
    ("UDP up to its checksum", udp, 26),
    ("options cut short", lambda s, d: with_options(s, d, b"\x01" * 40), 30),
    ("a later fragment", lambda s, d: p.ipv4(s, d, p.UDP, bytes(20), fragment=3), 9999),
    ("GRE", lambda s, d: p.ipv4(s, d, p.GRE, b"hello"), 9999),
]

GOOD = tcp(PEER, WEB)
LSRR = b"\x83\x07\x04\x0a\x01\x00\x05\x00"
REFUSED = [
    ("IHL 4", altered(GOOD, 0, b"\x44"), "dropped_length"),
    ("IP version 6", altered(GOOD, 0, b"\x65"), "dropped_length"),
    ("19 bytes", GOOD[:19], "dropped_length"),
    ("total length beyond the frame", altered(GOOD, 2, struct.pack("!H", len(GOOD) + 1)), "dropped_length"),
    ("total length below the header", altered(GOOD, 2, struct.pack("!H", 19)), "dropped_length"),
    ("TCP header cut short", altered(GOOD, 2, struct.pack("!H", 39)), "dropped_length"),
    ("TCP data offset 4", altered(GOOD, 32, b"\x40"), "dropped_length"),
    ("TCP data offset beyond the segment", altered(GOOD, 32, b"\xf0"), "dropped_length"),
    ("UDP header cut short", altered(udp(PEER, WEB), 2, struct.pack("!H", 27)), "dropped_length"),
    ("UDP length 7", altered(udp(PEER, WEB), 24, struct.pack("!H", 7)), "dropped_length"),
    ("UDP length beyond the packet", altered(udp(PEER, WEB), 24, struct.pack("!H", 14)), "dropped_length"),
    ("UDP-Lite coverage 7", p.ipv4(PEER, WEB, p.UDPLITE, p.udplite(PEER, WEB, b"x", coverage=7)), "dropped_length"),
    ("ICMP header cut short", p.ipv4(PEER, WEB, p.ICMP, b"\x08\0\0\0\0\0\0"), "dropped_length"),
    ("loose source route", with_options(PEER, WEB, LSRR), "dropped_source_route"),
    ("strict source route behind NOPs", with_options(PEER, WEB, NOPS + b"\x89" + LSRR[1:]), "dropped_source_route"),
    ("option of length 1", with_options(PEER, WEB, b"\x07\x01\0\0"), "dropped_length"),
    ("option beyond the header", with_options(PEER, WEB, b"\x07\x05\0\0"), "dropped_length"),
    ("option cut off", with_options(PEER, WEB, b"\x01\x01\x01\x07"), "dropped_length"),
    ("TTL 1", p.ipv4(PEER, WEB, p.UDP, p.udp(PEER, WEB, b""), ttl=1), "passed_ttl"),
    ("TTL 0", p.ipv4(PEER, WEB, p.UDP, p.udp(PEER, WEB, b""), ttl=0), "passed_ttl"),
]


def random_packet(chance: random.Random) -> bytes:
    """A packet of any shape, mostly sound, its addresses from few, so that what it quotes concerns it."""
    places = [PEER, WEB, WEB_10, DB, DB_10, "203.0.113.9"]
    source, destination = chance.choice(places), chance.choice(places)
    options = chance.choice(
        [b"", b"", b"", NOPS, RECORD, LSRR, b"\x01" * 40, chance.randbytes(4 * chance.randrange(11))]
    )
    field = chance.choice([0, 0, 0, 0x4000, 0x2000, 0x0003, 0x2003])
    ttl = chance.choice([64, 64, 64, 64, 2, 1, 0])
    protocol, payload = random_payload(chance, source, destination)
    packet = bytearray(p.ipv4(source, destination, protocol, payload, options=options, fragment=field, ttl=ttl))
    if chance.random() < 0.3:
        packet += chance.randbytes(chance.randrange(30))
    if chance.random() < 0.2:
        packet = packet[: chance.randrange(len(packet) + 1)]
    for _ in range(chance.choice([0, 0, 0, 1, 2])):
        if packet:
            packet[chance.randrange(len(packet))] = chance.randrange(256)
    return bytes(packet)


def random_payload(chance: random.Random, source: str, destination: str) -> tuple[int, bytes]:
    body = chance.randbytes(chance.choice([0, 1, 2, 7, 8, 31, 32, 33, chance.randrange(200), chance.randrange(1400)]))
    kind = chance.randrange(8)
    if kind == 0:
        protocol, payload = p.TCP, p.tcp(source, destination, body, options=b"\x01" * 4 * chance.randrange(5))
    elif kind == 1:
        protocol, payload = p.UDP, p.udp(source, destination, body)
    elif kind == 2:
        protocol, payload = p.UDP, altered(p.udp(source, destination, body), 6, bytes(2))
    elif kind == 3:
        protocol, payload = p.UDPLITE, p.udplite(source, destination, body, coverage=chance.choice([0, 8]))
    elif kind == 4:
        protocol, payload = p.TCP, partial(source, destination)[20:]
    elif kind == 5:
        protocol, payload = chance.randrange(256), body
    elif kind == 6:
        protocol, payload = p.ICMP, p.icmp(chance.randrange(19), 0, 0, body)
    else:
        turned = random_packet(chance) if chance.random() < 0.3 else udp(destination, source, body)
        quoted = turned[: chance.choice([9999, 28, 20, 27, chance.randrange(60)])]
        protocol, payload = p.ICMP, p.icmp(chance.choice([3, 4, 5, 11, 12]), 0, 0, quoted)
    return protocol, payload
