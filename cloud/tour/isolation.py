"""An isolated guest that lies about who it is: it takes a neighbour's addresses, sends, and listens for what comes.

Two disguises, so that the neighbour on the same host and one elsewhere are each attacked: as the one it talks to the
other. Routes of the hypervisor that lead the stolen addresses to the guest's link stand from the beginning: it is the
guard on the link that has to hold. The control is the same with that guard taken off this one link, again and again
as the agent puts it back.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from godwit_client.placement.models import Instance

from cloud import measure, rawlog
from cloud.measure import ANYWHERE
from cloud.probe.flows import Flow, flows_text
from cloud.rawlog import Damaged
from cloud.site import Site
from cloud.tour.customer import hosts, link_name
from cloud.tour.watch import ProbeBroken, Running

FORWARDING = "101"  # the hypervisors' table; rows in it that are not the agent's stay untouched
PREFERRED = "50"  # a metric below that of the agent's routes
PACKETS = 250  # of each flow
TRIES = 3
GATEWAYS = ("169.254.0.1", "fe80::1")
INTERNET = "internet"


@dataclass(frozen=True, slots=True)
class Cast:
    """Who takes part: the isolated guest, a neighbour on its hypervisor, one on another, and addresses of internet."""

    jail: Instance
    near: Instance
    far: Instance
    internet4: str
    internet6: str

    @property
    def places(self) -> tuple[str, ...]:
        return (self.jail.name, self.near.name, self.far.name, INTERNET)

    def addresses(self, place: str) -> tuple[str, str]:
        """One IPv4 and one IPv6 address of a place."""
        if place == INTERNET:
            return self.internet4, self.internet6
        one = self.near if place == self.near.name else self.far
        return hosts(one, 4)[0], hosts(one, 6)[0]


@dataclass(frozen=True, slots=True)
class Disguise:
    """Whose addresses the guest takes, and whom it talks to meanwhile, in both directions."""

    victim: Instance
    others: tuple[str, ...]


def disguises(cast: Cast) -> tuple[Disguise, Disguise]:
    return Disguise(cast.near, (cast.far.name, INTERNET)), Disguise(cast.far, (cast.near.name,))


def flows(cast: Cast, disguise: Disguise, numbers: Iterator[int]) -> list[Flow]:
    """Both families, UDP and ICMP, from the guest to each of the others, and from each of them to it."""
    stolen = cast.addresses(disguise.victim.name)
    jail = cast.jail.name
    found = []
    for place in disguise.others:
        for mine, theirs in zip(stolen, cast.addresses(place), strict=True):
            for protocol in ("udp", "icmp"):
                found.append(Flow(next(numbers), jail, ANYWHERE, mine, theirs, protocol))
                found.append(Flow(next(numbers), place, jail, theirs, mine, protocol))
    return found


def attempt(site: Site, logs: Path, name: str, cast: Cast, lifted: bool) -> tuple[int, int]:
    """Try everything; packets that arrived where they should not, and packets sent. Leaves `NAME.*` in `logs`.

    Again when a flow could not be sent at all: the agent may have taken the stolen addresses away from the guest.
    Raises ProbeBroken, Damaged when a part of it could not be tried.
    """
    for _ in range(TRIES - 1):
        with suppress(Damaged):
            return _attempt(site, logs, name, cast, lifted)
    return _attempt(site, logs, name, cast, lifted)


def _attempt(site: Site, logs: Path, name: str, cast: Cast, lifted: bool) -> tuple[int, int]:
    for old in (*logs.glob(f"{name}.*.sent"), *logs.glob(f"{name}.*.seen")):
        old.unlink()
    numbers = count(1)
    with ExitStack() as stack:
        for place in cast.places:
            stack.enter_context(Running(site, place, "sink", "--place", place, log=logs / f"{name}.{place}.seen"))
        for disguise in disguises(cast):
            with disguised(site, cast, disguise):
                if lifted:
                    lift_guard(site, cast)
                _send(site, logs, f"{name}.as-{disguise.victim.name}", flows(cast, disguise, numbers))
    return measure.arrived(*_read(logs, name))


def unseen(logs: Path, name: str) -> list[str]:
    """The flows of an attempt of which nothing arrived, in words."""
    sent, seen = _read(logs, name)
    missing = set(measure.flows_missing(sent, seen))
    rows = [flow for log in sent for flow in log.header["flows"] if flow["number"] in missing]
    return [f"{flow['protocol']} {flow['source']} → {flow['destination']}" for flow in rows]


def _read(logs: Path, name: str) -> tuple[list[rawlog.RawLog], list[rawlog.RawLog]]:
    return (
        [rawlog.read(path, "sent") for path in sorted(logs.glob(f"{name}.*.sent"))],
        [rawlog.read(path, "seen") for path in sorted(logs.glob(f"{name}.*.seen"))],
    )


def _send(site: Site, logs: Path, name: str, all_flows: Sequence[Flow]) -> None:
    """Every flow from its own place, all at once."""
    senders = []
    for place in sorted({flow.origin for flow in all_flows}):
        mine = flows_text([flow for flow in all_flows if flow.origin == place])
        arguments = ("send", "--flows", mine, "--count", str(PACKETS))
        log = logs / f"{name}-from-{place}.sent"
        senders.append(Running(site, place, *arguments, log=log, until_eof=False))
    for sender in senders:
        sender.finish()


@contextmanager
def disguised(site: Site, cast: Cast, disguise: Disguise) -> Iterator[None]:
    """The guest bears the victim's addresses, and its hypervisor's routes lead them to it."""
    jail, host = cast.jail.name, _host(cast)
    link, mac = link_name(cast.jail), cast.jail.port.mac
    gateway_mac = json.loads(_must(site, host, "ip", "-json", "link", "show", "dev", link))[0]["address"]
    for gateway in GATEWAYS:
        _must(site, jail, "ip", "neigh", "replace", gateway, "lladdr", gateway_mac, "dev", "eth0", "nud", "permanent")
    stolen = [(address, _length(address)) for address in cast.addresses(disguise.victim.name)]
    for address, length in stolen:
        nodad = ["nodad"] if length == "128" else []
        _must(site, jail, "ip", "address", "replace", f"{address}/{length}", "dev", "eth0", *nodad)
        route = (f"{address}/{length}", "dev", link, "table", FORWARDING, "metric", PREFERRED)
        _must(site, host, "ip", *_family(address), "route", "replace", *route)
        _must(site, host, "ip", "neigh", "replace", address, "lladdr", mac, "dev", link, "nud", "permanent")
    for gateway in GATEWAYS:  # an IPv4 default route goes with the last address
        default = ("default", "via", gateway, "dev", "eth0", "onlink", "metric", PREFERRED)
        _must(site, jail, "ip", *_family(gateway), "route", "replace", *default)
    try:
        yield
    finally:
        for address, length in stolen:
            prefix = f"{address}/{length}"
            site.exec(host, ["ip", *_family(address), "route", "del", prefix, "dev", link, "table", FORWARDING])
            site.exec(host, ["ip", "neigh", "del", address, "dev", link])
            site.exec(jail, ["ip", "address", "del", prefix, "dev", "eth0"])


def lift_guard(site: Site, cast: Cast) -> None:
    """Take the guard off, unless it is off still; again when the agent puts it back meanwhile. Raises ProbeBroken."""
    host, link = _host(cast), link_name(cast.jail)
    for _ in range(TRIES):
        site.exec(host, ["tc", "qdisc", "del", "dev", link, "clsact"])
        if not guarded(site, cast):
            return
    raise ProbeBroken(f"the guard of {link} on {host} cannot be taken off")


def guarded(site: Site, cast: Cast) -> bool:
    """Whether programs stand in both directions on the guest's link."""
    host, link = _host(cast), link_name(cast.jail)
    return all(site.exec(host, ["tc", "filter", "show", "dev", link, way]).stdout for way in ("ingress", "egress"))


def _host(cast: Cast) -> str:
    if not isinstance(cast.jail.hypervisor, str):
        raise ProbeBroken("the isolated guest runs nowhere")
    return cast.jail.hypervisor


def _length(address: str) -> str:
    return "128" if ":" in address else "32"


def _family(address: str) -> list[str]:
    return ["-6"] if ":" in address else []


def _must(site: Site, place: str, *argv: str) -> str:
    done = site.exec(place, argv)
    if done.returncode:
        raise ProbeBroken(f"in {place}, {' '.join(argv)}: {done.stderr.strip()}")
    return done.stdout
