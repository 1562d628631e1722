"""The NAT rewrite in user space: rows of known cases, and random packets against a second implementation.

The library is rewrite.h under the undefined-behaviour sanitizer, and each packet lies against a page that may not be
touched, so that a read or write beyond it ends the test. Loads are aligned to 2, as they are in the kernel.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import platform
import random
import re
import struct
import time
from pathlib import Path

import pytest

from dataplane.bpf import build
from dataplane.nat import VERDICTS
from tests import packets as p
from tests.unit import rewrite_model as model

COMMAND = (
    *("clang", "-O1", "-g", "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror"),
    *("-fsanitize=undefined", "-fno-sanitize=alignment", "-fsanitize-trap=undefined"),
    *(f"-I{build.HERE}", f"-I/usr/include/{platform.machine()}-linux-gnu"),
)
PACKETS = int(os.environ.get("REWRITE_PACKETS", "20000"))
SEED = int(os.environ.get("REWRITE_SEED", "0")) or time.time_ns()

PAGE = mmap.PAGESIZE
ROOM = 16 * PAGE  # for a packet, between two pages that may not be touched

PEER, WEB, WEB_10, DB, DB_10 = "192.0.2.7", "198.18.0.5", "10.1.0.5", "198.18.0.6", "10.2.0.6"
NONE, EMPTY = "255.255.255.255", "0.0.0.0"  # noqa: S104  (what a table answers, no address to bind)


class Library:
    def __init__(self, path: Path) -> None:
        self._library = ctypes.CDLL(str(path))
        self._memory = mmap.mmap(-1, ROOM + 2 * PAGE)
        self._at = ctypes.addressof(ctypes.c_char.from_buffer(self._memory))
        for offset in (0, PAGE + ROOM):
            assert ctypes.CDLL(None).mprotect(ctypes.c_void_p(self._at + offset), PAGE, 0) == 0

    def from_public(self, packet: bytes, private: bytes, *, low: bool = False) -> tuple[str, bytes]:
        return self._call("from_public", packet, low, number(private))

    def from_private(self, packet: bytes, public: bytes, private: bytes, *, low: bool = False) -> tuple[str, bytes]:
        return self._call("from_private", packet, low, number(public), number(private))

    def _call(self, name: str, packet: bytes, low: bool, *answers: ctypes.c_uint32) -> tuple[str, bytes]:
        offset = PAGE if low else PAGE + ROOM - len(packet)
        self._memory[offset : offset + len(packet)] = packet
        length = ctypes.c_ulong(len(packet))
        verdict = getattr(self._library, name)(ctypes.c_void_p(self._at + offset), length, *answers)
        return VERDICTS[verdict], self._memory[offset : offset + len(packet)]


def number(address: bytes) -> ctypes.c_uint32:
    return ctypes.c_uint32(struct.unpack("=I", address)[0])


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    source = Path(__file__).with_name("rewrite_library.c")
    return Library(build.compiled(source, tmp_path_factory.getbasetemp() / "build", COMMAND, ".so"))


def quoting(inner: bytes, outer: tuple[str, str], type_: int = 3, code: int = 1) -> bytes:
    """An ICMP error about `inner`."""
    return p.ipv4(*outer, p.ICMP, p.icmp(type_, code, 0, inner))


def altered(packet: bytes, at: int, new: bytes) -> bytes:
    return packet[:at] + new + packet[at + len(new) :]


def udp(source: str, destination: str, payload: bytes = b"hello") -> bytes:
    return p.ipv4(source, destination, p.UDP, p.udp(source, destination, payload))


def tcp(source: str, destination: str, **also: bytes) -> bytes:
    return p.ipv4(source, destination, p.TCP, p.tcp(source, destination, b"hello", **also))


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
BOTH_ENDS = [
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


@pytest.mark.parametrize(("case", "build_packet"), BOTH_ENDS, ids=[row[0] for row in BOTH_ENDS])
def test_addresses_change_and_checksums_hold(library: Library, case: str, build_packet: object) -> None:
    assert callable(build_packet), case
    answer = p.packed
    assert library.from_public(build_packet(PEER, WEB), answer(WEB_10)) == ("rewritten", build_packet(PEER, WEB_10))
    assert library.from_private(build_packet(WEB_10, PEER), answer(WEB), answer(NONE)) == (
        "rewritten",
        build_packet(WEB, PEER),
    )
    assert library.from_private(build_packet(WEB_10, DB), answer(WEB), answer(DB_10)) == (
        "hairpinned",
        build_packet(WEB, DB_10),
    )


ERRORS = [(3, 1), (4, 0), (5, 1), (11, 0), (12, 0)]
INNER = [
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


@pytest.mark.parametrize(("case", "inner", "cut"), INNER, ids=[row[0] for row in INNER])
@pytest.mark.parametrize(("type_", "code"), ERRORS)
def test_an_error_quotes_what_its_receiver_sent(
    library: Library, case: str, inner: object, cut: int, type_: int, code: int
) -> None:
    assert callable(inner), case
    router = "203.0.113.9"

    def error(outer: tuple[str, str], quoted: tuple[str, str]) -> bytes:
        return quoting(inner(*quoted)[:cut], outer, type_, code)

    # from the internet, about what the guest sent
    assert library.from_public(error((router, WEB), (WEB, PEER)), p.packed(WEB_10)) == (
        "rewritten",
        error((router, WEB_10), (WEB_10, PEER)),
    )
    # from the guest, about what it received
    assert library.from_private(error((WEB_10, PEER), (PEER, WEB_10)), p.packed(WEB), p.packed(NONE)) == (
        "rewritten",
        error((WEB, PEER), (PEER, WEB)),
    )
    # from the guest, about what another guest sent: DB sent to WEB, and WEB received it from DB's public address
    assert library.from_private(error((WEB_10, DB), (DB, WEB_10)), p.packed(WEB), p.packed(DB_10)) == (
        "hairpinned",
        error((WEB, DB_10), (DB_10, WEB)),
    )


def test_an_error_about_others_keeps_their_addresses(library: Library) -> None:
    stranger = udp("203.0.113.1", "203.0.113.2")

    assert library.from_public(quoting(stranger, (PEER, WEB)), p.packed(WEB_10)) == (
        "rewritten",
        quoting(stranger, (PEER, WEB_10)),
    )


def test_a_udp_checksum_that_comes_out_as_0_is_stored_as_ffff(library: Library) -> None:
    """Private addresses until one is met whose checksum is 0: the sum walks through all values."""
    for last in range(1 << 16):
        private = f"10.1.{last >> 8}.{last & 255}"
        wanted = udp(PEER, private)
        if wanted[26:28] == b"\xff\xff":
            assert library.from_public(udp(PEER, WEB), p.packed(private)) == ("rewritten", wanted)
            return
    raise AssertionError("no address gives 0")


def test_a_complete_checksum_that_looks_partial_is_not(library: Library) -> None:
    """1 in 65,536: the complete checksum equals the pseudo header's sum."""
    for filler in range(1 << 16):
        segment = p.tcp(PEER, WEB, struct.pack("!H", filler))
        field = ~p.checksum(p.pseudo(PEER, WEB, p.TCP, len(segment))) & 0xFFFF
        if segment[16:18] == struct.pack("!H", field):
            payload = struct.pack("!H", filler)
            out = p.ipv4(PEER, WEB_10, p.TCP, p.tcp(PEER, WEB_10, payload))
            assert library.from_public(p.ipv4(PEER, WEB, p.TCP, segment), p.packed(WEB_10)) == ("rewritten", out)
            return
    raise AssertionError("no payload gives it")


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


@pytest.mark.parametrize(("case", "packet", "verdict"), REFUSED, ids=[row[0] for row in REFUSED])
def test_what_is_not_rewritten_is_not_touched(library: Library, case: str, packet: bytes, verdict: str) -> None:
    assert library.from_public(packet, p.packed(WEB_10)) == (verdict, packet), case
    assert library.from_private(packet, p.packed(WEB), p.packed(DB_10)) == (verdict, packet), case


def test_the_source_route_option_behind_the_end_of_options_is_none(library: Library) -> None:
    packet = with_options(PEER, WEB, b"\x00" + LSRR[:7])

    assert library.from_public(packet, p.packed(WEB_10))[0] == "rewritten"


def test_a_miss_is_told_from_what_is_not_ours(library: Library) -> None:
    assert library.from_public(GOOD, p.packed(NONE)) == ("passed_own", GOOD)
    assert library.from_public(GOOD, p.packed(EMPTY)) == ("dropped_miss_public", GOOD)
    assert library.from_private(GOOD, p.packed(NONE), p.packed(DB_10)) == ("dropped_miss_private", GOOD)
    assert library.from_private(GOOD, p.packed(EMPTY), p.packed(DB_10)) == ("dropped_miss_private", GOOD)
    assert library.from_private(GOOD, p.packed(WEB), p.packed(EMPTY))[0] == "rewritten"


def test_the_names_of_the_verdicts_are_the_header_s() -> None:
    header = (build.HERE / "rewrite.h").read_text()
    names = re.findall(r"^\tRW_(\w+),", header.split("enum rw_verdict {")[1].split("};")[0], re.MULTILINE)

    assert tuple(name.lower() for name in names[:-1]) == VERDICTS


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


def test_random_packets_come_out_as_the_second_implementation_says(library: Library) -> None:
    print(f"REWRITE_SEED={SEED} REWRITE_PACKETS={PACKETS}")  # shown when it fails
    chance = random.Random(SEED)
    answers = [p.packed(text) for text in (WEB_10, DB_10, WEB, DB, NONE, EMPTY)]
    verdicts: dict[str, int] = {}
    for _ in range(PACKETS):
        packet, low = random_packet(chance), chance.random() < 0.5
        first, second = chance.choice(answers), chance.choice(answers)

        inward = library.from_public(packet, first, low=low)
        outward = library.from_private(packet, first, second, low=low)

        assert inward == model.from_public(packet, first), packet.hex()
        assert outward == model.from_private(packet, first, second), packet.hex()
        if outward[0] in {"rewritten", "hairpinned"} and not struct.unpack_from("!H", packet, 6)[0] & 0x3FFF:
            assert p.valid(outward[1]) or not p.valid(packet), packet.hex()
        for verdict, _ in (inward, outward):
            verdicts[verdict] = verdicts.get(verdict, 0) + 1
    print(f"{PACKETS} packets, both directions: {verdicts}")
    assert set(verdicts) == set(VERDICTS) - {"passed_other"}
