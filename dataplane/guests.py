"""What a leg ends in: guests, and the driver of the addresses they configure.

A guest is reached by the node whose leg to it is really ACTIVE, and by no other: while it moves, both hypervisors know
it, and the one that is left must not take its addresses away.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import Final, Protocol

from dataplane.driver import DriverError
from dataplane.entries import GuestAddress, Leg, LegState
from dataplane.linux import Interface

NIC: Final = "eth0"  # a bridge inside the guest's namespace, with the port's MAC


@dataclass(frozen=True, slots=True)
class Opened:
    """Descriptors of a guest's network namespace and of a netlink socket in it; the receiver closes both."""

    namespace: int
    kernel: int


class Configurer(Protocol):
    """The inside of guests, as cloud-init would set it up."""

    def addresses(self, guest: str) -> set[Interface]:
        """What the guest's NIC holds, link-local ones left out; empty when there is no such guest."""

    def configure(self, guest: str, add: Iterable[Interface], remove: Iterable[Interface]) -> None:
        """Repeating it changes nothing. Raises DriverError."""


class Guests(Configurer, Protocol):
    """Makes, configures and destroys guests. Namespaces now; libvirt later, whose taps exist before us."""

    def open(self, guest: str, mac: str, name: str) -> Opened:
        """A way into the guest, which is made with its NIC if need be."""

    def collect(self, guest: str) -> None:
        """Destroy the guest if no leg is left in it."""


class LegReader(Protocol):
    """The part of the leg driver that tells which guests are ours to configure."""

    def observe(self, keys: Iterable[Hashable] | None = None) -> dict[Hashable, Leg]: ...


class GuestAddresses:
    """Addresses of the guests whose active leg is on this node."""

    entry = GuestAddress

    def __init__(self, legs: LegReader, guests: Configurer, link_of: Callable[[str], str]) -> None:
        """`link_of` names a guest's leg."""
        self._legs = legs
        self._guests = guests
        self._link_of = link_of

    def observe(self, keys: Iterable[Hashable] | None = None) -> dict[Hashable, GuestAddress]:
        if keys is None:
            guests = {leg.guest for leg in self._legs.observe().values() if leg.state is LegState.ACTIVE}
            rows = [GuestAddress(guest, address) for guest in guests for address in self._guests.addresses(guest)]
            return {row.key: row for row in rows}
        wanted = set(keys)
        guests = {key[0] for key in wanted if isinstance(key, tuple)}
        rows = [GuestAddress(g, a) for g in guests if self._ours(g) for a in self._guests.addresses(g)]
        return {row.key: row for row in rows if row.key in wanted}

    def put(self, entry: GuestAddress) -> None:
        if not self._ours(entry.guest):
            raise DriverError("guest.elsewhere", f"no active leg of {entry.guest} is here")
        self._guests.configure(entry.guest, [entry.address], [])

    def drop(self, entry: GuestAddress) -> None:
        if self._ours(entry.guest):
            self._guests.configure(entry.guest, [], [entry.address])

    def _ours(self, guest: str) -> bool:
        link = self._link_of(guest)
        leg = self._legs.observe([link]).get(link)
        return leg is not None and leg.state is LegState.ACTIVE
