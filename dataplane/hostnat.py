"""hostnat on guest links: a guest keeps its private address, and the world knows it by its public one.

The rewrite (`bpf/hostnat.h`) is part of the guard's programs, outside of the guard: towards the guest it comes first,
from the guest it comes last. So a port is switched by one store of its row, and no program is attached or taken off.
The rows lie in maps of the guard, by interface number, with the same care (see `guard`).

What a link rewrote, and which private peers its guest has, is told by `LinkTraffics`. The peers are a sample: a table
of the node's, from which the longest unseen make room.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import Protocol

from dataplane.driver import DriverError
from dataplane.entries import HostNat
from dataplane.guard import Guard, guarded, index_of, names_of, names_present, port_key, port_of
from dataplane.libbpf import possible_cpus
from dataplane.nat import check_private, check_public

_ROW = struct.Struct("=4s4sII")  # hostnat_port
_COUNTS = struct.Struct("=4Q")  # hostnat_counts
_PEER = struct.Struct("=I4s")  # peer_key
_PEER_COUNTS = struct.Struct("=3Q")  # peer_counts


@dataclass(frozen=True, slots=True)
class PrivatePeer:
    """A 10.x address that a guest, at its own 10.x address, exchanges packets with."""

    peer: IPv4Address
    received: int  # packets, by the guest
    sent: int
    seen_seconds_ago: float


@dataclass(frozen=True, slots=True)
class LinkTraffic:
    """What was rewritten on a link since it was made, in packets and IPv4 bytes, and its guest's private peers."""

    inbound_packets: int = 0
    inbound_bytes: int = 0
    outbound_packets: int = 0
    outbound_bytes: int = 0
    peers: list[PrivatePeer] = field(default_factory=list)


class Traffic(Protocol):
    """Tells what passes on guests' links."""

    def of(self, links: Iterable[str]) -> dict[str, LinkTraffic]:
        """By link; one that is not there is left out."""


def check(entry: HostNat) -> None:
    """What no kernel may be asked for. Raises DriverError."""
    check_public(entry.public)
    check_private(entry.private)
    if entry.outbound and not entry.inbound:
        raise DriverError("hostnat.outbound_alone", f"answers to {entry.public} would not find {entry.private}")


class HostNats:
    """Driver of the rows. A row is observed only while the programs are on its link."""

    entry = HostNat

    def __init__(self, guard: Guard) -> None:
        self._guard = guard

    def observe(self, keys: Iterable[Hashable] | None = None) -> dict[Hashable, HostNat]:
        names = names_present() if keys is None else names_of(keys)
        rows = map(port_of, self._guard.hostnats) if keys is None else iter(names)
        return {
            name: _entry(name, value)
            for ifindex in rows
            if (name := names.get(ifindex))
            and self._guard.guards(ifindex)
            and (value := self._guard.hostnats.lookup(port_key(ifindex)))
        }

    def put(self, entry: HostNat) -> None:
        """One store: a packet sees the row as it was before, or as it is after."""
        check(entry)
        key = port_key(guarded(self._guard, entry.link))
        if self._guard.hostnat_counters.lookup(key, possible_cpus()) is None:
            self._guard.hostnat_counters.update(key, bytes(_COUNTS.size * possible_cpus()))
        value = _ROW.pack(entry.public.packed, entry.private.packed, entry.inbound, entry.outbound)
        self._guard.hostnats.update(key, value)

    def drop(self, entry: HostNat) -> None:
        """The counters stay: they are the link's."""
        ifindex = index_of(entry.link)
        if ifindex is None:
            self._guard.forget_vanished()
        else:
            self._guard.hostnats.delete(port_key(ifindex))


class LinkTraffics:
    """`Traffic` of the real links."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard

    def of(self, links: Iterable[str]) -> dict[str, LinkTraffic]:
        names = names_of(links)
        peers = self._peers(set(names))
        return {name: self._link(ifindex, peers.get(ifindex, [])) for ifindex, name in names.items()}

    def _link(self, ifindex: int, peers: list[PrivatePeer]) -> LinkTraffic:
        found = self._guard.hostnat_counters.lookup(port_key(ifindex), possible_cpus())
        by_cpu = _COUNTS.iter_unpack(found or bytes(_COUNTS.size))
        in_packets, in_bytes, out_packets, out_bytes = map(sum, zip(*by_cpu, strict=True))
        return LinkTraffic(in_packets, in_bytes, out_packets, out_bytes, peers)

    def _peers(self, wanted: set[int]) -> dict[int, list[PrivatePeer]]:
        """One pass over the node's table, whatever is wanted; rows of vanished links go by the way."""
        present = names_present()
        now_ns = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        found: dict[int, list[PrivatePeer]] = {}
        for key in list(self._guard.private_peers):
            ifindex, peer = _PEER.unpack(key)
            if ifindex not in present:
                self._guard.private_peers.delete(key)
            elif ifindex in wanted and (value := self._guard.private_peers.lookup(key)):
                received, sent, seen_ns = _PEER_COUNTS.unpack(value)
                ago = max(0, now_ns - seen_ns) / 1e9
                found.setdefault(ifindex, []).append(PrivatePeer(IPv4Address(peer), received, sent, ago))
        return found


def _entry(link: str, value: bytes) -> HostNat:
    public, private, inbound, outbound = _ROW.unpack(value)
    return HostNat(link, IPv4Address(public), IPv4Address(private), bool(inbound), bool(outbound))
