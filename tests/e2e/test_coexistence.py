"""While a zone is being converted its guests of every mode, and the internet, meet as `coexistence.csv` says."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from itertools import count
from pathlib import Path

import pytest
from godwit_client import answer
from godwit_client.placement.api.nodes import list_nodes
from godwit_client.placement.models import Instance, Mode

from cloud import rawlog
from cloud.probe import meet
from cloud.site import LocalSite
from cloud.tour.customer import Customer
from cloud.tour.watch import Running

TABLE = Path(__file__).parent / "coexistence.csv"
PROTOCOLS = ("tcp", "udp", "icmp")
PRIVATE = ip_network("10.0.0.0/8")
ANSWERS_WITHIN_S = 8
MODES = ("nat", "hostnat", "routed", "isolated")


@dataclass(frozen=True)
class Cell:
    """One row of the table, by one protocol."""

    caller: str  # places
    callee: str
    address: str
    protocol: str
    expected: str
    row: str

    def __str__(self) -> str:
        return f"{self.row}, {self.protocol}"


@dataclass
class Guests:
    """Of each mode: one that calls, one on the same hypervisor, one on another. Public and private address of each."""

    places: dict[tuple[str, str], str] = field(default_factory=dict)  # mode; `caller`, `same`, `other`
    addresses: dict[str, dict[str, str]] = field(default_factory=dict)


def table() -> Iterator[Mapping[str, str]]:
    with TABLE.open() as file:
        yield from csv.DictReader(line for line in file if not line.startswith("#"))


@pytest.fixture(scope="module")
def guests(site: LocalSite) -> Iterator[Guests]:
    """A dual zone in the middle of its conversion. An isolated guest takes addresses that are not its own."""
    project = "coexistence"
    customer = Customer.of(site, project)
    customer.clean(project)
    here, there, *_ = site.nodes("hypervisor", site.zone)
    hosts = {"caller": here, "same": here, "other": there}

    def made(part: tuple[str, str]) -> Instance:
        mode, role = part
        held = [] if mode == "isolated" else [customer.reserve("public")]
        first = Mode.NAT if mode == "hostnat" else Mode(mode)
        one = customer.create(f"{mode}-{role}-c", first, held, hypervisor=hosts[role])
        return customer.changed(customer.convert(one)) if mode == "hostnat" else one

    found = Guests()
    with ThreadPoolExecutor(6) as pool:
        parts = [(mode, role) for mode in MODES for role in hosts]
        for number, (part, one) in enumerate(zip(parts, pool.map(made, parts), strict=True)):
            assert one.port.mode.value == part[0]
            found.places[part] = one.name
            isolated = one.port.mode is Mode.ISOLATED
            found.addresses[one.name] = usurped(site, customer, one, number) if isolated else by_kind(one)
    uplink = site.plan.zone(site.zone).uplink
    found.addresses["internet"] = {"public": str(uplink.address4.ip)}
    yield found
    customer.clean(project)


def by_kind(one: Instance) -> dict[str, str]:
    hosts = [ip_address(address.host.partition("/")[0]) for address in one.port.addresses]
    return {kind_of(str(host)): str(host) for host in hosts if host.version == 4}


def kind_of(address: str) -> str:
    return "private" if ip_address(address) in PRIVATE else "public"


def usurped(site: LocalSite, customer: Customer, jail: Instance, number: int) -> dict[str, str]:
    """Addresses that nobody has, which an isolated guest gives itself, with a way out."""
    (node,) = answer(list_nodes.sync_detailed(client=customer.api.placement, name=str(jail.hypervisor))).items
    nobodys = ip_network(str(node.private_prefix)).broadcast_address - 1 - number
    taken = {"public": customer.reserve("public").address, "private": str(nobodys)}
    commands = [
        *(["ip", "address", "add", f"{address}/32", "dev", "eth0"] for address in taken.values()),
        ["ip", "link", "set", "eth0", "up"],
        ["ip", "route", "replace", "default", "via", "169.254.0.1", "dev", "eth0", "onlink"],
    ]
    for command in commands:
        done = site.exec(jail.name, command)
        assert done.returncode == 0, done.stderr
    return taken


def cells(guests: Guests) -> list[Cell]:
    def place(mode: str, role: str) -> str:
        return mode if mode == "internet" else guests.places[mode, role]

    found = []
    for row in table():
        caller, callee = place(row["from"], "caller"), place(row["to"], "same" if row["host"] == "same" else "other")
        name = f"{row['from']} to the {row['address']} address of {row['to']}" + (
            "" if row["host"] == "-" else f" on {'the same' if row['host'] == 'same' else 'another'} host"
        )
        address = guests.addresses[callee][row["address"]]
        found += [Cell(caller, callee, address, protocol, row[protocol], name) for protocol in PROTOCOLS]
    return found


def test_everybody_meets_as_the_table_says(site: LocalSite, guests: Guests, logs: Path) -> None:
    called = dict(zip(count(1), cells(guests), strict=False))
    assert len(called) == 3 * len(list(table()))
    with ExitStack() as stack:
        for place in {cell.callee for cell in called.values()}:
            stack.enter_context(Running(site, place, "listen", log=logs / f"{place}.heard"))
        callers = []
        for place in {cell.caller for cell in called.values()}:
            calls = [
                meet.Call(number, cell.protocol, cell.address)
                for number, cell in called.items()
                if cell.caller == place
            ]
            arguments = ("call", "--calls", meet.calls_text(calls), "--seconds", str(ANSWERS_WITHIN_S))
            callers.append(Running(site, place, *arguments, log=logs / f"{place}.called", until_eof=False))
        for caller in callers:
            caller.finish()

    seen = {
        int(number): kind_of(source)
        for path in logs.glob("*.heard")
        for number, _, source in rawlog.read(path, "heard").of("r", 3)
    }
    answered = {int(number) for path in logs.glob("*.called") for (number,) in rawlog.read(path, "called").of("r", 1)}
    differ = []
    for number, cell in called.items():
        outcome = "none"
        if number in seen:
            outcome = seen[number] if number in answered else "one-way"
        if outcome != cell.expected:
            differ.append(f"{cell}: {outcome}, not {cell.expected}")
    assert not differ, "\n".join(differ)
