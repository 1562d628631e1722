"""Failover addresses in a whole cloud: the holder's process killed, its host dead; and addresses that change places.

The gaps are counted by probes every millisecond, sent from the internet, and printed; that they end is asserted.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from godwit_client.placement.models import Instance, Mode

from cloud import measure, rawlog
from cloud.agents import ask
from cloud.site import LocalSite
from cloud.tour.customer import Customer
from cloud.tour.watch import probing
from services.netagent.wire import Condition
from tests.e2e.conftest import Godwit, answers, eventually

DETECTED_MS = 400  # three probes 100 ms apart, and as long for the last answer


@pytest.fixture
def pair(customer: Customer, project: str) -> tuple[Instance, Instance]:
    """Two instances, on two hypervisors."""
    one, two = (
        customer.create(f"{project}-{number}", Mode.ROUTED, hypervisor=f"hypervisor-{number}") for number in (1, 2)
    )
    return one, two


@pytest.fixture
def powered(site: LocalSite, project: str) -> Iterator[LocalSite]:  # noqa: ARG001  whose end needs every host
    yield site
    site.power("hypervisor-1", on=True)
    eventually(lambda: answers(site, site.endpoint("hypervisor-1"), "edge"), "hypervisor-1 is back")


def told(said: Any) -> Any:
    assert said.code == 0, said.err
    return json.loads(said.out)


def guarded(godwit: Godwit, pair: tuple[Instance, Instance], family: str, *check: str) -> tuple[str, str]:
    """A failover address on the first of a pair, checked: as it is called, and where its holder answers."""
    fip = told(godwit("ip", "reserve", "--failover", "--family", family, "--json"))
    address = fip["address"]
    assert godwit("ip", "candidates", address, *(f"{one.name}={200 - n}" for n, one in enumerate(pair))).code == 0
    assert godwit("ip", "attach", address, pair[0].name).code == 0
    assert godwit("ip", "health-check", address, *check, "--interval-ms", "100", "--hold-down-s", "5").code == 0
    return address, fip["interface_id"] or address


def holder(godwit: Godwit, address: str) -> tuple[str, str]:
    shown = told(godwit("ip", "show", address, "--json"))
    return shown["state"], shown["attachment"]["target"]["id"]


def found_up(site: LocalSite, host: str) -> bool:
    """Whether the edge's check has found its holder up."""
    states = ask(site.plan, "edge", lambda client: client.health_checks())
    return any(str(one.address) == host and one.condition is Condition.UP for one in states)


def gaps_ms(logs: Path, name: str) -> dict[str, float]:
    found = {}
    for track in measure.tracks(rawlog.read(logs / f"{name}.probe", "probe")):
        loss = measure.loss(track)
        assert loss.sent > 100
        found[track.address] = loss.gap_ms
    return found


def test_the_addresses_of_a_dead_host_go_to_the_next_candidate(
    powered: LocalSite, godwit: Godwit, pair: tuple[Instance, Instance], logs: Path
) -> None:
    fips = [guarded(godwit, pair, family, "icmp") for family in ("ipv4", "ipv6")]
    for _, host in fips:
        eventually(lambda host=host: found_up(powered, host), f"{host} is found up")  # type: ignore[misc]

    with probing(powered, logs, "host", [host for _, host in fips], sample_legs=False):
        powered.power("hypervisor-1", on=False)
        there = ("attached", str(pair[1].id))
        for address, _ in fips:
            eventually(lambda address=address: holder(godwit, address) == there, f"{address} has failed over", 60)  # type: ignore[misc]
        for _, host in fips:
            eventually(lambda host=host: answers(powered, host), f"{host} answers again")  # type: ignore[misc]

    found = gaps_ms(logs, "host")
    print(f"host dead: gaps {found} ms, detected within {DETECTED_MS}")
    assert min(found.values()) > DETECTED_MS / 2

    powered.power("hypervisor-1", on=True)
    for address, host in fips:
        prefix = address if "/" in address else f"{address}/32"
        family = "-6" if "/" in address else "-4"
        eventually(
            lambda family=family, prefix=prefix: (
                "proto 71"  # type: ignore[misc]
                not in powered.exec("hypervisor-1", ["ip", family, "route", "show", prefix]).stdout
            ),
            f"the host that returned has withdrawn {prefix}",
        )
        assert answers(powered, host)


def test_the_address_of_a_dead_process_goes_to_the_next_candidate(
    site: LocalSite, godwit: Godwit, pair: tuple[Instance, Instance], logs: Path
) -> None:
    """Its host and its kernel answer all the while."""
    address, host = guarded(godwit, pair, "ipv4", "tcp", "--port", "80")
    eventually(lambda: found_up(site, host), f"{host} is found up")
    inside = site.network(pair[0].name).stat().st_ino
    processes = [int(one.name) for one in Path("/proc").iterdir() if one.name.isdecimal() and _network(one) == inside]
    assert processes

    with probing(site, logs, "process", [host], sample_legs=False):
        for process in processes:
            os.kill(process, signal.SIGKILL)
        eventually(lambda: holder(godwit, address) == ("attached", str(pair[1].id)), f"{address} has failed over", 60)
        eventually(lambda: answers(site, host), f"{host} answers again")

    found = gaps_ms(logs, "process")
    print(f"process killed: gap {found} ms, detected within {DETECTED_MS}")
    assert found[host] > DETECTED_MS / 2


def _network(process: Path) -> int | None:
    try:
        return (process / "ns/net").stat().st_ino
    except OSError:  # it has ended
        return None


def test_two_addresses_change_places(
    site: LocalSite, godwit: Godwit, customer: Customer, pair: tuple[Instance, Instance], logs: Path
) -> None:
    fips = [customer.reserve("public") for _ in pair]
    for fip, one in zip(fips, pair, strict=True):
        customer.done(customer.attach(fip, one))
        eventually(lambda fip=fip: answers(site, fip.address), f"{fip.address} answers")  # type: ignore[misc]

    with probing(site, logs, "swap", [fip.address for fip in fips], sample_legs=False):
        eventually(lambda: answers(site, fips[0].address), "probes run")
        assert godwit("ip", "swap", fips[0].address, fips[1].address).code == 0
        eventually(lambda: all(answers(site, fip.address) for fip in fips), "both answer")

    for fip, one in zip(fips, reversed(pair), strict=True):
        assert holder(godwit, fip.address) == ("attached", str(one.id))
    print(f"swap: gaps {gaps_ms(logs, 'swap')} ms")
