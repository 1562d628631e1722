"""Which hypervisor takes an instance. Pure: facts in, an order of candidates out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from uuid import UUID

LOCAL_DISK_TRAIT = "CUSTOM_LOCAL_DISK"
"""Of a hypervisor whose guests' disks no other node can read."""


@dataclass(frozen=True, slots=True)
class Supply:
    """A node's inventory of one resource class, and what is used of it."""

    total: int
    reserved: int
    min_unit: int
    max_unit: int
    step_size: int
    allocation_ratio: float
    used: int

    @property
    def capacity(self) -> int:
        return int((self.total - self.reserved) * self.allocation_ratio)

    def holds(self, amount: int) -> bool:
        """Whether `amount` more fits, in OpenStack Placement's sense."""
        fits = self.used + amount <= self.capacity
        return fits and self.min_unit <= amount <= self.max_unit and amount % self.step_size == 0

    def left_after(self, amount: int) -> Fraction:
        """The free share that remains, 0 to 1."""
        return Fraction(self.capacity - self.used - amount, self.capacity) if self.capacity else Fraction(0)


@dataclass(frozen=True, slots=True)
class Host:
    """A hypervisor as the scheduler sees it."""

    id: UUID
    name: str
    enabled: bool
    up: bool
    traits: frozenset[str]
    supplies: Mapping[str, Supply]

    @property
    def schedulable(self) -> bool:
        return self.enabled and self.up

    @property
    def shares_disks(self) -> bool:
        """Whether a guest's disk need not be carried to it, or from it, by way of the object store."""
        return LOCAL_DISK_TRAIT not in self.traits

    def fits(self, resources: Mapping[str, int]) -> bool:
        wanted = {name: amount for name, amount in resources.items() if amount}
        return all(name in self.supplies and self.supplies[name].holds(amount) for name, amount in wanted.items())


def candidates(
    hosts: Iterable[Host],
    resources: Mapping[str, int],
    required: frozenset[str] = frozenset(),
    exclude: frozenset[UUID] = frozenset(),
) -> list[Host]:
    """The hosts that can take `resources`, best first: spread by the share that stays free of the scarcest class."""
    able = [
        host
        for host in hosts
        if host.schedulable and host.id not in exclude and required <= host.traits and host.fits(resources)
    ]
    return sorted(able, key=lambda host: (-_headroom(host, resources), host.name))


def unplaced(hosts: Iterable[Host], needs: Sequence[Mapping[str, int]]) -> int:
    """How many of these consumers would find no room on `hosts`, placed one after the other."""
    left = {host.id: host for host in hosts}
    homeless = 0
    for needed in needs:
        found = candidates(left.values(), needed)
        if found:
            left[found[0].id] = with_less(found[0], needed)
        else:
            homeless += 1
    return homeless


def with_less(host: Host, resources: Mapping[str, int]) -> Host:
    """The host once `resources` are taken of it."""
    supplies = {
        name: replace(supply, used=supply.used + resources.get(name, 0)) for name, supply in host.supplies.items()
    }
    return replace(host, supplies=supplies)


def _headroom(host: Host, resources: Mapping[str, int]) -> Fraction:
    return min(
        (host.supplies[name].left_after(amount) for name, amount in resources.items() if amount), default=Fraction(1)
    )
