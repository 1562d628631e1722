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
from tests.shapes import (
    BOTH_ENDS,
    DB,
    DB_10,
    ERRORS,
    GOOD,
    INNER,
    LSRR,
    PEER,
    REFUSED,
    WEB,
    WEB_10,
    Build,
    quoting,
    random_packet,
    udp,
    with_options,
)
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


@pytest.mark.parametrize("build_packet", [row[1] for row in BOTH_ENDS], ids=[row[0] for row in BOTH_ENDS])
def test_addresses_change_and_checksums_hold(library: Library, build_packet: Build) -> None:
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


@pytest.mark.parametrize(("inner", "cut"), [row[1:] for row in INNER], ids=[row[0] for row in INNER])
@pytest.mark.parametrize(("type_", "code"), ERRORS)
def test_an_error_quotes_what_its_receiver_sent(
    library: Library, inner: Build, cut: int, type_: int, code: int
) -> None:
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
