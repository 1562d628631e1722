"""Drifts of one address, seeded into the kernels of a local cloud behind their agents' backs, each with its code.

An agent mends a drift when it next compares, within seconds: trace at once, and ask whether it was still `there`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from uuid import UUID

from godwit_client.placement.models import Instance

from cloud.agents import ask
from cloud.conversion import sabotage
from cloud.namespaces import CommandFailed
from cloud.site import LocalSite
from services.netagent.wire import Row, Table

ANNOUNCEMENTS, FORWARDING, OURS = "100", "101", "71"  # tables, and our rtnetlink protocol

_CLOSE_GUARD = """
import socket, struct, sys
from pathlib import Path
from dataplane.libbpf import Map
pins, link = sys.argv[1:]
assert Map.pinned(Path(pins) / "guard" / "guard_ports").delete(struct.pack("=I", socket.if_nametoindex(link)))
"""


@dataclass(frozen=True)
class Subject:
    """An address of an instance that runs, and who has to do with it."""

    site: LocalSite
    port: UUID
    prefix: IPv4Network | IPv6Network
    hypervisor: str

    @classmethod
    def of(cls, site: LocalSite, instance: Instance, prefix: str) -> Subject:
        return cls(site, instance.port.id, ip_network(prefix), str(instance.hypervisor))

    @property
    def others(self) -> list[str]:
        return [name for name in self.site.nodes("hypervisor") if name != self.hypervisor]

    def rows(self, node: str, *tables: Table) -> list[Row]:
        """Of the address, as the node's agent reads them back. Raises DomainError."""
        found = ask(self.site.plan, node, lambda client: client.rows([self.port], [self.prefix])).rows
        return [row for row in found if not tables or row.table in tables]

    def asked(self, table: Table, field: str) -> str:
        """What a row at its hypervisor is asked to be."""
        return next((row.wanted or {})[field] for row in self.rows(self.hypervisor, table))

    def there(self) -> bool:
        """Whether some kernel does not hold what it is to hold of the address."""
        nodes = [*self.site.nodes("hypervisor"), *self.site.nodes("gateway")]
        return any(row.wanted != row.seen for node in nodes for row in self.rows(node))

    def ip(self, node: str, *arguments: str) -> None:
        """Raises CommandFailed."""
        argv = ["ip", f"-{self.prefix.version}", *arguments]
        done = self.site.exec(node, argv)
        if done.returncode:
            raise CommandFailed(f"{node}: {' '.join(argv)}: {done.stderr.strip()}")

    def announce(self, node: str, verb: str, sequence: int) -> None:
        row = ["unreachable", str(self.prefix), "table", ANNOUNCEMENTS, "metric", str(sequence), "proto", OURS]
        self.ip(node, "route", verb, *row)


def _lose_route(subject: Subject) -> None:
    subject.ip(subject.hypervisor, "route", "del", str(subject.prefix), "table", FORWARDING)


def _mislead_nat(subject: Subject) -> None:
    gateway = subject.site.nodes("gateway")[0]
    sabotage.flip(subject.site, gateway, str(subject.prefix.network_address), "10.255.255.1")


def _change_sequence(subject: Subject) -> None:
    sequence = int(subject.asked(Table.ANCHOR, "sequence"))
    subject.announce(subject.hypervisor, "add", sequence + 50)
    subject.announce(subject.hypervisor, "del", sequence)


def _close_guard(subject: Subject) -> None:
    site, link = subject.site, subject.asked(Table.LEG, "link")
    pins = str(site.paths.bpf / subject.hypervisor)
    done = site.exec(subject.hypervisor, [site.python, "-c", _CLOSE_GUARD, pins, link])
    if done.returncode:
        raise CommandFailed(f"the guard of {link} could not be closed: {done.stderr.strip()}")


def _take_link_down(subject: Subject) -> None:
    subject.ip(subject.hypervisor, "link", "set", subject.asked(Table.LEG, "link"), "down")


def _announce_elsewhere(subject: Subject) -> None:
    """As a partitioned host would that had the address later: the edge believes it."""
    subject.announce(subject.others[0], "add", int(subject.asked(Table.ANCHOR, "sequence")) + 1)


@dataclass(frozen=True)
class Drift:
    """A drift, the code a trace is to name it by, and the mode of the port it is seeded for."""

    code: str
    mode: str
    seed: Callable[[Subject], None]


TRIES = 5


def traced(drift: Drift, subject: Subject, trace: Callable[[], list[str]]) -> list[str]:
    """The codes that `trace` finds while the drift is there: one that is mended meanwhile is seeded again."""
    for _ in range(TRIES):
        drift.seed(subject)
        found = trace()
        if found or subject.there():
            return found
    return []


DRIFTS = (
    Drift("route.missing", "routed", _lose_route),
    Drift("nat.stale", "nat", _mislead_nat),
    Drift("sequence.wrong", "routed", _change_sequence),
    Drift("guard.closed", "routed", _close_guard),
    Drift("link.down", "routed", _take_link_down),
    Drift("announcer.second", "routed", _announce_elsewhere),
)
