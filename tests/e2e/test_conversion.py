"""An instance leaves the central NAT and comes back, with real packets: nothing is lost, and the path changes."""

from __future__ import annotations

import json
import re
from pathlib import Path

from godwit_client.placement.models import Mode

from cloud import measure, rawlog
from cloud.site import LocalSite
from cloud.tour.customer import Customer, hosts
from cloud.tour.watch import Running, probing
from tests.e2e.conftest import Godwit, answers

GATEWAYS = ("gateway-1", "gateway-2")
MANY = 400


def passed_gateways(site: LocalSite) -> int:
    """Packets that the gateways' public links have received."""
    total = 0
    for gateway in GATEWAYS:
        (link,) = json.loads(site.exec(gateway, ["ip", "-json", "-stats", "link", "show", "public0"]).stdout)
        total += int(link["stats64"]["rx"]["packets"])
    return total


def by_gateways(site: LocalSite, address: str) -> int:
    """Of MANY pings to an address, about how many came by a gateway."""
    before = passed_gateways(site)
    sent = site.exec("internet", ["ping", "-n", "-q", "-f", "-c", str(MANY), "-W", "1", address])
    assert re.search(rf"{MANY} packets transmitted, {MANY} received", sent.stdout), sent.stdout
    return passed_gateways(site) - before


def test_a_conversion_there_and_back_loses_nothing(
    site: LocalSite, customer: Customer, project: str, logs: Path
) -> None:
    """Inbound by sequence-numbered probes; both ways by a TCP connection."""
    fip = customer.reserve("public")
    web = customer.create(f"web-{project}", Mode.NAT, [fip])
    beside = customer.create(f"beside-{project}", Mode.NAT, [customer.reserve("public")])

    with (
        Running(site, "internet", "echo-tcp"),
        probing(site, logs, "convert", [fip.address, hosts(beside, 4)[0]], fip.address) as watch,
    ):
        watch.let_run(1.5)
        converted = customer.changed(customer.convert(web))
        watch.let_run(1.5)
        reverted = customer.changed(customer.revert(converted))
        watch.let_run(1.5)

    assert (converted.port.mode, reverted.port.mode) == (Mode.HOSTNAT, Mode.NAT)
    assert {a.prefix for a in reverted.port.addresses} == {a.prefix for a in web.port.addresses}
    for track in measure.tracks(rawlog.read(logs / "convert.probe", "probe")):
        loss = measure.loss(track)
        assert loss.sent > 4500
        assert (track.address, loss.lost, loss.duplicates) == (track.address, 0, 0)
    (connection,) = measure.connections(rawlog.read(logs / "convert.tcp", "tcp"))
    assert connection.survived


def test_the_path_really_changes_and_changes_back(site: LocalSite, customer: Customer, project: str) -> None:
    fip = customer.reserve("public")
    web = customer.create(f"web-{project}", Mode.NAT, [fip])
    assert by_gateways(site, fip.address) >= MANY
    web = customer.changed(customer.convert(web))
    assert by_gateways(site, fip.address) < MANY / 2
    customer.changed(customer.revert(web))
    assert by_gateways(site, fip.address) >= MANY


def test_a_converted_instance_moves_and_talks_to_everybody(
    site: LocalSite, customer: Customer, godwit: Godwit, project: str
) -> None:
    web = customer.create(f"web-{project}", Mode.NAT, [customer.reserve("public")])
    nat = customer.create(f"nat-{project}", Mode.NAT, [customer.reserve("public")])
    routed = customer.create(f"routed-{project}", Mode.ROUTED, [customer.reserve("public")])
    done = godwit("instance", "convert", f"web-{project}")
    assert done.code == 0, done.err
    web = customer.changed(customer.move(customer.instance(web.id)))
    address = hosts(web, 4)[0]
    assert answers(site, address)
    for peer in (nat, routed):
        for source, to in ((f"web-{project}", hosts(peer, 4)[0]), (peer.name, address)):
            heard = site.exec(source, ["ping", "-n", "-q", "-c", "2", "-i", "0.2", "-W", "1", to])
            assert heard.returncode == 0, f"{source} does not reach {to}: {heard.stdout}"
    assert site.exec(f"web-{project}", ["ping", "-n", "-q", "-c", "1", "-W", "1", address]).returncode == 0
    back = godwit("instance", "revert", f"web-{project}")
    assert back.code == 0, back.err
    assert answers(site, address)
