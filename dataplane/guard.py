"""Anti-spoofing on guest links: what a guest may send, and what may be sent to it.

The programs (`bpf/guest_link.bpf.c`) sit on each link in both directions (clsact) and drop what the rows below do not
allow; without rows they drop everything. Maps and programs are pinned, so that a restarted agent finds them. The same
programs do hostnat (`hostnat.py`), outside of the guard: it sees a guest's private address in both directions.

Rows are kept by interface number, which a later link may be given again (at once, in a new network namespace). A link's
filter dies with the link, so a filter of ours proves that the rows are this link's; `attach` forgets the rows of a link
that has none, and rows of a link without filter are not observed.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Hashable, Iterable, Iterator, Mapping
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from pathlib import Path

from dataplane import libbpf
from dataplane.bpf import build
from dataplane.driver import DriverError
from dataplane.entries import GuardAddress, GuardPort, Prefix
from dataplane.libbpf import Direction

REASONS = (  # as enum guard_reason
    "passed_from_guest",
    "passed_to_guest",
    "dropped_no_port",
    "dropped_mac",
    "dropped_vlan",
    "dropped_ethertype",
    "dropped_length",
    "dropped_source",
    "dropped_destination",
    "dropped_host_plane",
    "dropped_arp",
    "dropped_nd",
    "dropped_dhcp_server",
    "dropped_headers",
    "dropped_no_address",
    "dropped_source_route",
    "dropped_rewrite",
    "dropped_not_its_address",
)

PROGRAMS = {Direction.INGRESS: "from_guest", Direction.EGRESS: "to_guest"}
HOST_PLANE, HOST_PROBES = 0, 1  # enum guard_host
SHORTEST = {4: 1, 6: 3}  # a prefix length of 0 would allow every address, ::/2 every IPv4 one in disguise


class Guard:
    """The guard of one node: its maps, its programs, and which links bear them.

    `pins`: this node's bpffs directory. `cache`: where compiled files are kept. `hosts`: prefixes of the hosts
    themselves (fabric, management), which no guest may send to. `probes`: addresses among them to which guests may
    answer an echo and accept a connection, and nothing else. Raises BpfError, BuildError.
    """

    def __init__(
        self,
        pins: Path,
        cache: Path,
        hosts: Iterable[Prefix] = (),
        probes: Iterable[IPv4Address | IPv6Address] = (),
    ) -> None:
        self._pins = pins / "guard"
        compiled = build.program("guest_link", cache)
        self._programs = self._pinned_programs(compiled)
        self._current = {direction: libbpf.program_id(program) for direction, program in self._programs.items()}
        self.ports = libbpf.Map.pinned(self._pins / "guard_ports")
        self.prefixes = libbpf.Map.pinned(self._pins / "guard_prefixes")
        self.families = libbpf.Map.pinned(self._pins / "guard_families")
        self.hostnats = libbpf.Map.pinned(self._pins / "hostnat_ports")
        self.hostnat_counters = libbpf.Map.pinned(self._pins / "hostnat_counters")
        self.private_peers = libbpf.Map.pinned(self._pins / "private_peers")
        self._hosts = libbpf.Map.pinned(self._pins / "guard_hosts")
        self._counters = libbpf.Map.pinned(self._pins / "guard_counters")
        self._set_hosts(dict.fromkeys(hosts, HOST_PLANE) | dict.fromkeys(map(ip_network, probes), HOST_PROBES))
        self._recover()

    def attach(self, link: str) -> None:
        """Put the programs on a link, before it is brought up; on one that has them, swap them, and no frame passes
        between. Rows of an earlier link of the same number are forgotten. Raises BpfError."""
        ifindex = socket.if_nametoindex(link)
        if not self._bears_ours(ifindex):
            self.forget(ifindex)
        for direction, program in self._programs.items():
            libbpf.attach_filter(program, ifindex, direction)

    def attached(self, link: str) -> bool:
        """Whether the current programs are on the link, in both directions."""
        try:
            ifindex = socket.if_nametoindex(link)
        except OSError:
            return False
        return self.guards(ifindex)

    def guards(self, ifindex: int) -> bool:
        """The same, by interface number."""
        return all(libbpf.filter_of(ifindex, direction) == program for direction, program in self._current.items())

    def counters(self) -> dict[str, int]:
        """Frames by what became of them, since the maps were made."""
        return dict(zip(REASONS, self._counters.counts(), strict=True))

    def room(self) -> int:
        """How many more links the tables take."""
        return int(self.ports.max_entries) - sum(1 for _ in self.ports)

    def forget(self, ifindex: int) -> None:
        """Remove every row of an interface: from here on it passes nothing."""
        for table in (self.ports, self.hostnats, self.hostnat_counters):
            table.delete(port_key(ifindex))
        families = [struct.pack("=II", ifindex, family) for family in (4, 6)]
        if any(map(self.families.lookup, families)):
            for row in [row for row in self.prefixes if _ifindex_of(row) == ifindex]:
                self.prefixes.delete(row)
            for key in families:
                self.families.delete(key)

    def forget_vanished(self) -> None:
        """Remove the rows of interfaces that no longer exist."""
        present = {index for index, _ in socket.if_nameindex()}
        for ifindex in self._known() - present:
            self.forget(ifindex)

    def change_family(self, ifindex: int, family: int, by: int) -> None:
        """Count a prefix of a family in or out."""
        key = struct.pack("=II", ifindex, family)
        count = struct.unpack("=I", self.families.lookup(key) or bytes(4))[0] + by
        if count > 0:
            self.families.update(key, struct.pack("=I", count))
        else:
            self.families.delete(key)

    def _pinned_programs(self, compiled: Path) -> dict[Direction, libbpf.Descriptor]:
        """The pinned programs of this build; loaded and pinned if it is new. Earlier builds' pins stay while links use
        them: they tell that a link's filter is ours."""
        pins = {direction: self._pins / f"{name}-{compiled.stem}" for direction, name in PROGRAMS.items()}
        if not all(pin.exists() for pin in pins.values()):
            loaded = libbpf.Object(compiled, self._pins, counters=["guard_counters"])
            for direction, pin in pins.items():
                pin.unlink(missing_ok=True)
                libbpf.pin(loaded.program(PROGRAMS[direction]), pin)
            loaded.close()
        return {direction: libbpf.pinned(pin) for direction, pin in pins.items()}

    def _bears_ours(self, ifindex: int) -> bool:
        """Whether programs of ours, of whichever build, guard a link in both directions."""
        return all(
            libbpf.filter_of(ifindex, direction)
            in {libbpf.program_id(libbpf.pinned(pin)) for pin in self._pins.glob(f"{name}-*")}
            for direction, name in PROGRAMS.items()
        )

    def _known(self) -> set[int]:
        """Interfaces that have rows."""
        by_port = (self.ports, self.hostnats, self.hostnat_counters)
        return {port_of(key) for table in by_port for key in table} | {_ifindex_of(row) for row in self.prefixes}

    def _set_hosts(self, hosts: Mapping[Prefix, int]) -> None:
        wanted = {_prefix_key(0, prefix): what for prefix, what in hosts.items()}
        for key, what in wanted.items():
            self._hosts.update(key, struct.pack("=I", what))
        for key in set(self._hosts) - set(wanted):
            self._hosts.delete(key)

    def _recover(self) -> None:
        """Put right what an earlier process left.

        Counts, since it may have died between a row and its count; rows of links that bear no filter of ours; pins of
        programs that no link bears.
        """
        counts: dict[bytes, int] = {}
        for row in self.prefixes:
            counts[row[4:12]] = counts.get(row[4:12], 0) + 1
        for key, count in counts.items():
            self.families.update(key, struct.pack("=I", count))
        for key in set(self.families) - set(counts):
            self.families.delete(key)
        present = {index for index, _ in socket.if_nameindex()}
        borne = set(self._current.values())
        for ifindex in self._known():
            if ifindex in present and self._bears_ours(ifindex):
                borne |= {number for way in Direction if (number := libbpf.filter_of(ifindex, way)) is not None}
            else:
                self.forget(ifindex)
        for pin in [pin for name in PROGRAMS.values() for pin in self._pins.glob(f"{name}-*")]:
            if libbpf.program_id(libbpf.pinned(pin)) not in borne:
                pin.unlink()


class GuardPorts:
    """Driver of the rows that open a guest's link. A row is observed only while the programs are on its link."""

    entry = GuardPort

    def __init__(self, guard: Guard) -> None:
        self._guard = guard

    def observe(self, keys: Iterable[Hashable] | None = None) -> dict[Hashable, GuardPort]:
        names = names_present() if keys is None else names_of(keys)
        rows = map(port_of, self._guard.ports) if keys is None else iter(names)
        return {
            name: GuardPort(name, value[:6].hex(":"))
            for ifindex in rows
            if (name := names.get(ifindex))
            and self._guard.guards(ifindex)
            and (value := self._guard.ports.lookup(port_key(ifindex)))
        }

    def put(self, entry: GuardPort) -> None:
        ifindex = guarded(self._guard, entry.link)
        mac = bytes.fromhex(entry.mac.replace(":", ""))
        if len(mac) != 6:
            raise DriverError("guard.mac.invalid", f"{entry.mac} is no MAC address")
        self._guard.ports.update(port_key(ifindex), mac + bytes(2))

    def drop(self, entry: GuardPort) -> None:
        ifindex = index_of(entry.link)
        if ifindex is None:
            self._guard.forget_vanished()
        else:
            self._guard.ports.delete(port_key(ifindex))


class GuardAddresses:
    """Driver of the prefixes each link may send from and be sent to."""

    entry = GuardAddress

    def __init__(self, guard: Guard) -> None:
        self._guard = guard

    def observe(self, keys: Iterable[Hashable] | None = None) -> dict[Hashable, GuardAddress]:
        names = names_present()
        rows = self._guard.prefixes if keys is None else self._rows(keys)
        entries = (GuardAddress(names[_ifindex_of(row)], _prefix_of(row)) for row in rows if _ifindex_of(row) in names)
        guarded: dict[str, bool] = {}
        found: dict[Hashable, GuardAddress] = {}
        for entry in entries:
            if entry.link not in guarded:
                guarded[entry.link] = self._guard.attached(entry.link)
            if guarded[entry.link]:
                found[entry.key] = entry
        return found

    def put(self, entry: GuardAddress) -> None:
        if entry.prefix.prefixlen < SHORTEST[entry.prefix.version]:
            raise DriverError("guard.prefix.too_short", f"{entry.prefix} is too much for one link")
        row = _prefix_key(guarded(self._guard, entry.link), entry.prefix)
        if not self._holds(row):
            self._guard.prefixes.update(row, row[:4])
            self._guard.change_family(_ifindex_of(row), entry.prefix.version, +1)

    def drop(self, entry: GuardAddress) -> None:
        ifindex = index_of(entry.link)
        if ifindex is None:
            self._guard.forget_vanished()
        elif self._guard.prefixes.delete(_prefix_key(ifindex, entry.prefix)):
            self._guard.change_family(ifindex, entry.prefix.version, -1)

    def _rows(self, keys: Iterable[Hashable]) -> Iterator[bytes]:
        for key in keys:
            match key:
                case (str(link), (IPv4Network() | IPv6Network()) as prefix) if ifindex := index_of(link):
                    row = _prefix_key(ifindex, prefix)
                    if self._holds(row):
                        yield row

    def _holds(self, row: bytes) -> bool:
        """Whether there is exactly this row: a look-up also finds one that covers it, whose value tells."""
        return self._guard.prefixes.lookup(row) == row[:4]


def guarded(guard: Guard, link: str) -> int:
    """The number of a link that has the programs, given to it if it has not: a row without them would guard nothing."""
    ifindex = index_of(link)
    if ifindex is None:
        raise DriverError("guard.link.absent", f"there is no link {link}")
    if not guard.guards(ifindex):
        try:
            guard.attach(link)
        except OSError as refused:
            raise DriverError("guard.attach", str(refused)) from refused
    return ifindex


def index_of(link: str) -> int | None:
    try:
        return socket.if_nametoindex(link)
    except OSError:
        return None


def names_present() -> dict[int, str]:
    return dict(socket.if_nameindex())


def names_of(links: Iterable[Hashable]) -> dict[int, str]:
    return {index: link for link in links if isinstance(link, str) and (index := index_of(link))}


def port_key(ifindex: int) -> bytes:
    return struct.pack("=I", ifindex)


def port_of(key: bytes) -> int:
    return int(struct.unpack("=I", key)[0])


def _ifindex_of(row: bytes) -> int:
    return int(struct.unpack_from("=I", row, 4)[0])


def _prefix_key(ifindex: int, prefix: Prefix) -> bytes:
    """A struct guard_prefix."""
    address = prefix.network_address.packed
    return struct.pack("=III16s", 64 + prefix.prefixlen, ifindex, prefix.version, address)


def _prefix_of(row: bytes) -> Prefix:
    bits, _, family, address = struct.unpack("=III16s", row)
    if family == 4:
        return IPv4Network((address[:4], bits - 64))
    return IPv6Network((address, bits - 64))
