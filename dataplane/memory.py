"""An in-memory kernel: drivers of every table that pass the same tests as the real ones.

For unit tests, fleets of simulated agents, and the deterministic simulation. A `World` holds the guests, which several
kernels share as hypervisors share a moving instance; a `Kernel` holds one node's tables. Rows can be refused, altered
behind the agent's back, or belong to another owner.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

from dataplane.driver import DriverError
from dataplane.entries import (
    Anchor,
    Blackhole,
    Check,
    Discard,
    Entry,
    Fallback,
    Fence,
    Forward,
    GuardAddress,
    GuardPort,
    GuestAddress,
    HostNat,
    Inbound,
    Leg,
    LegState,
    Outbound,
    Peer,
)
from dataplane.guests import GuestAddresses
from dataplane.hostnat import LinkTraffic, check
from dataplane.linux import Interface
from dataplane.routes import LAST_METRIC

E = TypeVar("E", bound=Entry)

Hook = Callable[[Entry], None]


@dataclass
class World:
    """The guests, and which leg each of them hears: (kernel's name, link) or None."""

    addresses: dict[str, dict[Interface, None]] = field(default_factory=dict)
    legs: dict[str, set[tuple[str, str]]] = field(default_factory=dict)
    hears: dict[str, tuple[str, str] | None] = field(default_factory=dict)


class MemoryGuests:
    """The guests' side of `dataplane.guests.Guests`, without namespaces."""

    def __init__(self, world: World) -> None:
        self._world = world

    def addresses(self, guest: str) -> set[Interface]:
        return set(self._world.addresses.get(guest, ()))

    def configure(self, guest: str, add: Iterable[Interface], remove: Iterable[Interface]) -> None:
        if guest not in self._world.legs:
            raise DriverError("guest.unknown", f"there is no guest {guest}")
        held = self._world.addresses.setdefault(guest, {})
        for address in add:
            held[address] = None
        for address in remove:
            held.pop(address, None)

    def collect(self, guest: str) -> None:
        if not self._world.legs.get(guest):
            for known in (self._world.addresses, self._world.legs, self._world.hears):
                known.pop(guest, None)


class Kernel:
    """One node's tables. `refuse` is asked before every put and drop, and raises DriverError to refuse."""

    def __init__(self, name: str = "node", world: World | None = None, vxlan: bool = True) -> None:
        self.name = name
        self.world = World() if world is None else world
        self.vxlan = vxlan
        self.rows: dict[Any, dict[Hashable, Any]] = {}  # by class of entry
        self.foreign: dict[Any, dict[Hashable, Any]] = {}
        self.refuse: Hook = lambda _: None
        self.traffic: dict[str, LinkTraffic] = {}  # by link, as a test says

    def table(self, of: type[E]) -> dict[Hashable, E]:
        return self.rows.setdefault(of, {})

    def alter(self, entry: Entry) -> None:
        """Another hand writes a row that bears our mark."""
        self.rows.setdefault(type(entry), {})[entry.key] = entry

    def remove(self, of: Any, key: Hashable) -> None:
        """Another hand removes a row of ours, and with a leg what the kernel removes with it."""
        row = self.rows.get(of, {}).pop(key, None)
        if isinstance(row, Leg):
            self.cut(row.link)
            self.world.legs.get(row.guest, set()).discard((self.name, row.link))
            if self.world.hears.get(row.guest) == (self.name, row.link):
                self.world.hears[row.guest] = None

    def claim(self, entry: Entry) -> None:
        """A row of another owner."""
        self.foreign.setdefault(type(entry), {})[entry.key] = entry

    def cut(self, link: str) -> None:
        """A link is gone, and with it the rows that name it."""
        for of in (Forward, GuardPort, GuardAddress, HostNat):
            table = self.rows.get(of, {})
            for key in [key for key, row in table.items() if row.link == link]:
                del table[key]


class MemoryTable(Generic[E]):
    """A driver of one table of a `Kernel`."""

    def __init__(self, kernel: Kernel, entry: type[E]) -> None:
        self._kernel = kernel
        self.entry = entry

    def observe(self, keys: Iterable[Hashable] | None = None) -> dict[Hashable, E]:
        rows = self._kernel.table(self.entry)
        if keys is None:
            return dict(rows)
        return {key: rows[key] for key in keys if key in rows}

    def put(self, entry: E) -> None:
        self._kernel.refuse(entry)
        self._check(entry)
        self._kernel.table(self.entry)[entry.key] = entry

    def drop(self, entry: E) -> None:
        self._kernel.refuse(entry)
        self._kernel.table(self.entry).pop(entry.key, None)

    def _check(self, entry: E) -> None:
        """What the kernel would refuse."""
        if entry.key in self._kernel.foreign.get(self.entry, {}):
            raise DriverError("route.foreign", f"{entry.key} belongs to another")
        if isinstance(entry, Forward) and entry.link not in self._kernel.table(Leg):
            raise DriverError("route.no_link", f"there is no link {entry.link}")
        if isinstance(entry, HostNat):
            check(entry)
            if entry.link not in self._kernel.table(Leg):
                raise DriverError("guard.link.absent", f"there is no link {entry.link}")
        if isinstance(entry, Fallback | Peer) and not self._kernel.vxlan:
            raise DriverError("peer.no_link", "there is no VXLAN link")
        if isinstance(entry, Anchor) and not 0 < entry.sequence <= LAST_METRIC:
            raise DriverError("anchor.sequence", f"{entry.prefix}: {entry.sequence} is no metric")


class MemoryTraffic:
    """What passes on the links of a `Kernel`."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel

    def of(self, links: Iterable[str]) -> dict[str, LinkTraffic]:
        present = self._kernel.table(Leg)
        return {link: self._kernel.traffic.get(link, LinkTraffic()) for link in links if link in present}


class MemoryLegs:
    """The driver of legs: one guest hears one leg, over all kernels of a world."""

    entry = Leg

    def __init__(self, kernel: Kernel, guard_attach: Callable[[str], None] = lambda _: None) -> None:
        self._kernel = kernel
        self._guests = MemoryGuests(kernel.world)
        self._guard_attach = guard_attach

    def observe(self, keys: Iterable[Hashable] | None = None) -> dict[Hashable, Leg]:
        rows = self._kernel.table(Leg)
        chosen = list(rows) if keys is None else [key for key in keys if key in rows]
        return {key: self._read(rows[key]) for key in chosen}

    def _read(self, declared: Leg) -> Leg:
        if declared.state is LegState.LEAVING:
            return declared
        heard = self._kernel.world.hears.get(declared.guest) == self._place(declared)
        return replace(declared, state=LegState.ACTIVE if heard else LegState.STANDBY)

    def put(self, entry: Leg) -> None:
        self._kernel.refuse(entry)
        heard = self._kernel.world.hears.get(entry.guest)
        if entry.state is LegState.ACTIVE and not entry.takes and heard not in (None, self._place(entry)):
            raise DriverError("leg.elsewhere", f"another leg carries {entry.guest}, and nobody said to take it")
        if entry.link not in self._kernel.table(Leg):
            self._guard_attach(entry.link)
        self._kernel.table(Leg)[entry.link] = entry
        world = self._kernel.world
        world.legs.setdefault(entry.guest, set()).add(self._place(entry))
        if entry.state is LegState.ACTIVE:
            world.hears[entry.guest] = self._place(entry)
        elif entry.state is LegState.STANDBY and world.hears.get(entry.guest) == self._place(entry):
            world.hears[entry.guest] = None

    def drop(self, entry: Leg) -> None:
        self._kernel.refuse(entry)
        self._kernel.remove(Leg, entry.link)
        self._guests.collect(entry.guest)

    def _place(self, entry: Leg) -> tuple[str, str]:
        return (self._kernel.name, entry.link)


@dataclass(frozen=True)
class Drivers:
    """The drivers of a kernel, in the order in which rows are put."""

    hypervisor: list[Any]
    gateway: list[Any]
    edge: list[Any]


def drivers(kernel: Kernel, link_of: Callable[[str], str]) -> Drivers:
    """`link_of` names a guest's leg."""
    legs = MemoryLegs(kernel)
    anchors = MemoryTable(kernel, Anchor)
    return Drivers(
        hypervisor=[
            legs,
            MemoryTable(kernel, GuardPort),
            MemoryTable(kernel, GuardAddress),
            MemoryTable(kernel, HostNat),
            MemoryTable(kernel, Peer),
            MemoryTable(kernel, Forward),
            MemoryTable(kernel, Fallback),
            MemoryGuestAddresses(kernel, legs, link_of),
            anchors,
        ],
        gateway=[MemoryTable(kernel, Outbound), MemoryTable(kernel, Inbound), anchors],
        edge=[MemoryTable(kernel, row) for row in (Discard, Fence, Blackhole, Check)],
    )


class MemoryGuestAddresses(GuestAddresses):
    """The real driver on in-memory guests; refusals apply."""

    def __init__(self, kernel: Kernel, legs: MemoryLegs, link_of: Callable[[str], str]) -> None:
        super().__init__(legs, MemoryGuests(kernel.world), link_of)
        self._kernel = kernel

    def put(self, entry: GuestAddress) -> None:
        self._kernel.refuse(entry)
        super().put(entry)

    def drop(self, entry: GuestAddress) -> None:
        self._kernel.refuse(entry)
        super().drop(entry)
