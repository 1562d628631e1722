"""The guests of a zone that is to be converted, their addresses, and who answers at each."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from godwit_client.placement.models import Instance, Mode

from cloud import rawlog
from cloud.probe.target import Target
from cloud.site import LocalSite
from cloud.tour.customer import Customer

AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Guest:
    """One guest on the NAT stack: public and private IPv4, and the IPv6 it always had."""

    id: UUID
    name: str
    port: UUID
    hypervisor: str
    public: str
    private: str
    legacy: str

    @classmethod
    def of(cls, one: Instance) -> Guest:
        hosts = [address.host.partition("/")[0] for address in one.port.addresses]
        private = next(host for host in hosts if host.startswith("10."))
        return cls(
            id=one.id,
            name=one.name,
            port=one.port.id,
            hypervisor=str(one.hypervisor),
            public=next(host for host in hosts if ":" not in host and host != private),
            private=private,
            legacy=next(host for host in hosts if ":" in host),
        )


def boot(site: LocalSite, customer: Customer, name: str, count: int) -> list[Guest]:
    """Start `count` guests, spread over the zone's hypervisors, each with a public IPv4."""
    hypervisors = site.nodes("hypervisor", customer.zone)
    pool = next(pool.name for pool in site.plan.zone(customer.zone).pools if pool.prefix.version == 4)

    def one(number: int) -> Guest:
        host = hypervisors[number % len(hypervisors)]
        called = f"{name}-{number + 1:02}"
        return Guest.of(customer.create(called, Mode.NAT, [customer.reserve(pool, called)], host))

    with ThreadPoolExecutor(AT_ONCE) as threads:
        return list(threads.map(one, range(count)))


def targets(site: LocalSite, guests: Sequence[Guest]) -> list[Target]:
    """From the internet to each guest's IPv4 and IPv6, and from each guest to the next one's 10.x."""
    outside = [Target(None, address) for guest in guests for address in (guest.public, guest.legacy)]
    around = zip(guests, [*guests[1:], guests[0]], strict=True)
    inside = [Target(site.network(asks.name), answers.private) for asks, answers in around if asks is not answers]
    return outside + inside


def arguments(of: Sequence[Target]) -> list[str]:
    """As a probe takes them."""
    return [f"{target.network}={target.address}" if target.network else target.address for target in of]


_ASK = """
import json, sys, urllib.request
for address in sys.argv[1:]:
    host = f"[{address}]" if ":" in address else address
    try:
        name = json.load(urllib.request.urlopen(f"http://{host}/", timeout=3))["name"]
    except OSError:
        name = "-"
    print("a", address, name)
"""


def ask_names(site: LocalSite, log: Path, guests: Sequence[Guest]) -> list[str]:
    """Who answers by HTTP at each public and IPv6 address, as a raw log. Those at which it is not the guest's own."""
    own = {address: guest.name for guest in guests for address in (guest.public, guest.legacy)}
    answers = site.exec("internet", [site.python, "-c", _ASK, *own], timeout_s=5 + 3 * len(own))
    records = answers.stdout.splitlines()
    rawlog.write(log, "answerers", {}, records)
    return [address for _, address, name in map(str.split, records) if own[address] != name]
