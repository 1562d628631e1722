"""Messages between placement and agents survive the way whole, or not at all."""

from __future__ import annotations

import random
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_interface
from uuid import UUID

import pytest
from hypothesis import given, strategies as st

from services.netagent import wire

NODE, PORT, OPERATION = UUID(int=1), UUID(int=2), UUID(int=3)

ENTRIES: list[wire.Entry] = [
    wire.Port(PORT, bytes.fromhex("060000000007"), wire.PortState.STANDBY, "wéb-1"),
    wire.Address(IPv4Network("198.18.0.5/32"), PORT, ip_interface("198.18.0.5/32"), 7, IPv4Address("172.31.0.9")),
    wire.Address(IPv6Network("2001:db8:5::/64"), PORT, ip_interface("2001:db8:5::10/64")),
    wire.Peer(IPv4Address("172.31.0.9")),
    wire.NodePrefix(IPv4Network("10.1.0.0/16")),
    wire.NodePrefix(IPv6Network("2001:db8:1::/48")),
    wire.Aggregate(IPv4Network("198.18.0.0/15")),
    wire.Inbound(IPv4Address("198.18.0.9"), IPv4Address("10.1.0.9")),
    wire.Outbound(IPv4Address("10.1.0.9"), IPv4Address("198.18.0.9")),
    wire.HostNat(PORT, IPv4Address("198.18.0.9"), IPv4Address("10.1.0.9"), inbound=True, outbound=False),
    wire.Fence(IPv4Address("172.31.1.1")),
    wire.Blackhole(IPv4Network("198.18.0.9/32")),
    wire.Blackhole(IPv6Network("2001:db8:5::/64"), IPv4Address("172.31.1.1")),
    wire.HealthCheck(IPv4Address("198.18.0.9"), PORT, wire.CheckProtocol.ICMP, 0, 60_000, 20, 3600),
    wire.HealthCheck(IPv6Address("2001:db8:5::9"), PORT, wire.CheckProtocol.TCP, 65535, 20, 1, 0),
]
TOMBSTONES = [
    wire.Tombstone(wire.EntryKey.of(ENTRIES[3]), OPERATION),
    wire.Tombstone(wire.EntryKey.of(ENTRIES[7])),
]
SNAPSHOT = wire.Snapshot(NODE, 3, 17, ENTRIES, TOMBSTONES, "0123456789abcdef")
DELTA = wire.Delta(NODE, 3, 16, 17, ENTRIES[:3], TOMBSTONES)


@pytest.mark.parametrize("message", [SNAPSHOT, DELTA], ids=["snapshot", "delta"])
def test_a_message_arrives_as_it_was_sent(message: wire.Snapshot | wire.Delta) -> None:
    assert wire.parse(message.pack()) == message


@pytest.mark.parametrize("message", [SNAPSHOT, DELTA], ids=["snapshot", "delta"])
def test_a_message_cut_at_any_byte_is_refused(message: wire.Snapshot | wire.Delta) -> None:
    """Q1."""
    raw = message.pack()
    for length in range(len(raw)):
        with pytest.raises(wire.Malformed):
            wire.parse(raw[:length])


def test_a_message_with_any_bit_altered_is_refused() -> None:
    """Q1."""
    raw = DELTA.pack()
    for position in range(len(raw)):
        altered = bytearray(raw)
        altered[position] ^= 1 << (position % 8)
        with pytest.raises(wire.Malformed):
            wire.parse(bytes(altered))


@given(st.binary(max_size=200))
def test_noise_is_refused(raw: bytes) -> None:
    with pytest.raises(wire.Malformed):
        wire.parse(raw)


@given(st.randoms(use_true_random=False))
def test_a_digest_does_not_depend_on_the_order(rng: random.Random) -> None:
    shuffled = rng.sample(ENTRIES, len(ENTRIES))
    assert wire.Digest.of(shuffled).hex() == wire.Digest.of(ENTRIES).hex()


def test_a_digest_follows_changes() -> None:
    digest = wire.Digest.of(ENTRIES)
    for entry in ENTRIES[4:]:
        digest.remove(entry.kind, entry.key(), entry.value())
    assert digest.hex() == wire.Digest.of(ENTRIES[:4]).hex()


@pytest.mark.parametrize("inbound", [False, True])
@pytest.mark.parametrize("outbound", [False, True])
def test_a_hostnat_entry_keeps_each_of_its_parts(inbound: bool, outbound: bool) -> None:
    public, private, peer = (IPv4Address(text) for text in ("198.18.0.9", "10.1.0.9", "172.31.0.9"))
    entry = wire.HostNat(PORT, public, private, inbound, outbound, sequence=1 << 40, fallback=peer)
    assert wire.unpack(entry.kind, entry.key(), entry.value()) == entry
    for damaged in (entry.value()[:-1], entry.value() + b"\0", b""):
        with pytest.raises(wire.Malformed):
            wire.unpack(entry.kind, entry.key(), damaged)


def test_a_port_has_one_hostnat_entry() -> None:
    """At most one public IPv4: a second one takes the first one's place."""
    one, other = (
        wire.HostNat(PORT, IPv4Address(public), IPv4Address("10.1.0.9"), inbound=True, outbound=True)
        for public in ("198.18.0.9", "198.18.0.10")
    )
    assert wire.EntryKey.of(one) == wire.EntryKey.of(other)


def test_a_digest_tells_values_apart() -> None:
    one = wire.Inbound(IPv4Address("198.18.0.9"), IPv4Address("10.1.0.9"))
    other = wire.Inbound(IPv4Address("198.18.0.9"), IPv4Address("10.1.0.8"))
    assert wire.Digest.of([one]).hex() != wire.Digest.of([other]).hex()
    assert wire.Digest.of([]).hex() == {}
