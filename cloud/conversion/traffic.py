"""Traffic of a zone's guests while they are converted: probes and TCP connections, in raw logs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from cloud.conversion.guests import Guest, arguments, targets
from cloud.probe.target import Target
from cloud.site import LocalSite
from cloud.tour.watch import Running

SELDOM_US = 100_000  # between two probes to a port that is not being switched
LINE_US = 100_000  # between two lines of a connection: a few hundred bit/s


@dataclass
class Prober:
    """Probes going on: every millisecond to the ports that are being switched, seldom to all others."""

    process: Running
    attended: tuple[str, ...] = ()

    def attend(self, guests: Sequence[Guest]) -> None:
        addresses = tuple(guest.public for guest in guests)
        if addresses != self.attended:
            self.process.tell(" ".join(addresses))
            self.attended = addresses


@contextmanager
def attending(site: LocalSite, log: Path, guests: Sequence[Guest]) -> Iterator[Prober]:
    """Probes to all addresses of `guests`, those within the zone too, until the block is left."""
    asked = arguments(targets(site, guests))
    with Running(site, "internet", "udp", "--idle-us", str(SELDOM_US), *asked, log=log) as process:
        yield Prober(process)


@contextmanager
def probing(site: LocalSite, log: Path, guests: Sequence[Guest], interval_us: int = SELDOM_US) -> Iterator[None]:
    """The same, all alike."""
    asked = arguments(targets(site, guests))
    with Running(site, "internet", "udp", "--interval-us", str(interval_us), *asked, log=log):
        yield


@contextmanager
def connected(site: LocalSite, log: Path, guests: Sequence[Guest], internet: str) -> Iterator[None]:
    """TCP connections from the internet to each guest and back, until the block is left."""
    both_ways = [Target(None, guest.public) for guest in guests]
    both_ways += [Target(site.network(guest.name), internet) for guest in guests]
    with ExitStack() as stack:
        stack.enter_context(Running(site, "internet", "echo-tcp"))
        asked = arguments(both_ways)
        stack.enter_context(Running(site, "internet", "tcp", "--interval-us", str(LINE_US), *asked, log=log))
        yield
