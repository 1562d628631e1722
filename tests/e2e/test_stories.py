"""What a customer does, with real packets: addresses stay while instances come, go and move."""

from __future__ import annotations

import io
import json
from pathlib import Path

from godwit_client.placement.models import Mode
from rich.console import Console

from cloud import measure, rawlog
from cloud.probe.echo import SIGNED_ECHO_PORT
from cloud.site import LocalSite
from cloud.tour import isolation
from cloud.tour.customer import Customer, hosts, link_name
from cloud.tour.moves import measured_move
from cloud.tour.story import Story
from cloud.tour.watch import Running, legs, probing
from tests.e2e.conftest import Godwit, answers, eventually

POOL4, POOL6 = "public", "public-v6"


def quiet() -> Story:
    return Story(Console(file=io.StringIO()))


def test_by_the_command_an_address_is_reserved_attached_and_reached(
    site: LocalSite, godwit: Godwit, project: str
) -> None:
    reserved = json.loads(godwit("ip", "reserve", "--name", "front", "--label", "team=web", "--json").out)
    assert (reserved["state"], reserved["project"], reserved["labels"]) == ("reserved", project, {"team": "web"})
    address = reserved["address"]
    made = godwit("instance", "create", f"web-{project}", "--flavor", "small", "--mode", "routed")
    assert made.code == 0, made.err
    assert not answers(site, address)

    attached = godwit("ip", "attach", address, f"web-{project}")

    assert attached.code == 0, attached.err
    assert "attached" in attached.out
    assert answers(site, address)
    shown = godwit("ip", "list").out
    assert address in shown
    assert f"web-{project}" in shown
    assert godwit("instance", "show", address).out.split()[1] == f"web-{project}"

    detached = godwit("ip", "detach", "front")

    assert detached.code == 0, detached.err
    assert not answers(site, address)
    assert godwit("ip", "release", address).code == 0
    history = json.loads(godwit("ip", "history", address, "--json").out)
    targets = [held["target"] for held in history if held["project"] == project]
    assert len([target for target in targets if target]) == 1


def test_no_wait_answers_an_operation_that_can_be_watched(godwit: Godwit, project: str) -> None:
    started = json.loads(
        godwit("instance", "create", f"w-{project}", "--flavor", "small", "--ipv4", "--no-wait", "--json").out
    )
    watched = godwit("operation", "watch", started["id"])
    assert watched.code == 0, watched.err
    assert "succeeded" in watched.out
    assert started["id"] in godwit("operation", "list", "--limit", "500").out


def test_a_routed_move_loses_nothing(site: LocalSite, customer: Customer, project: str, logs: Path) -> None:
    held = [customer.reserve(POOL4), customer.reserve(POOL4), customer.reserve(POOL6)]
    api = customer.create(f"api-{project}", Mode.ROUTED, held)
    addresses = [*hosts(api, 4), *hosts(api, 6)]
    story = quiet()

    moved = measured_move(story, site, customer, logs, "routed_move", api, addresses, addresses[0])

    assert story.shortfalls == []
    assert moved is not None
    assert moved.loss.sent >= measure.MIN_PROBES
    assert (moved.loss.lost, moved.loss.duplicates) == (0, 0)
    assert moved.connection is not None
    assert moved.connection.survived
    assert moved.instance.hypervisor != api.hypervisor


def test_a_nat_move_has_a_gap_of_a_tenth_of_a_second_at_most(
    site: LocalSite, customer: Customer, project: str, logs: Path
) -> None:
    fip = customer.reserve(POOL4)
    web = customer.create(f"web-{project}", Mode.NAT, [fip])
    story = quiet()

    moved = measured_move(story, site, customer, logs, "nat_move", web, [fip.address])

    assert story.shortfalls == []
    assert moved is not None
    assert moved.loss.gap_ms <= 100


def test_stopped_and_started_elsewhere_it_has_the_same_addresses(
    site: LocalSite, customer: Customer, project: str
) -> None:
    fip, six = customer.reserve(POOL4), customer.reserve(POOL6)
    one = customer.create(f"s-{project}", Mode.ROUTED, [fip, six])
    before = [*hosts(one, 4), *hosts(one, 6)]

    stopped = customer.changed(customer.stop(one))

    assert (stopped.state.value, stopped.hypervisor) == ("archived", None)
    assert legs(site, link_name(one)) == []
    assert not answers(site, fip.address)

    other = next(node for node in site.nodes("hypervisor") if node != one.hypervisor)
    started = customer.changed(customer.start(stopped, other))

    assert started.hypervisor == other
    assert legs(site, link_name(one)) == [other]
    assert [*hosts(started, 4), *hosts(started, 6)] == before
    for address in before:
        eventually(lambda address=address: answers(site, address), f"{address} answers")  # type: ignore[misc]


def test_an_address_handed_over_is_answered_by_its_new_holder(
    site: LocalSite, customer: Customer, project: str, logs: Path
) -> None:
    fip = customer.reserve(POOL4)
    first, second = (customer.create(f"{name}-{project}", Mode.ROUTED) for name in ("a", "b"))
    customer.done(customer.attach(fip, first))
    port = ("--port", str(SIGNED_ECHO_PORT))
    with (
        Running(site, first.name, "echo", fip.address, *port, "--name", first.name),
        Running(site, second.name, "echo", fip.address, *port, "--name", second.name),
        probing(site, logs, "x", [fip.address], port=SIGNED_ECHO_PORT, sample_legs=False) as watch,
    ):
        watch.let_run(0.2)
        customer.done(customer.move_address(fip, first, second))
        watch.let_run(0.5)

    (track,) = measure.tracks(rawlog.read(logs / "x.probe", "probe"))
    said = [answer.responder for answer in track.answers]
    assert said[0] == first.name
    assert said[-1] == second.name
    assert said == sorted(said)  # a, then b: never a again


def test_an_instance_is_deleted_and_its_address_stays(site: LocalSite, customer: Customer, project: str) -> None:
    fip = customer.reserve(POOL4)
    one = customer.create(f"d-{project}", Mode.ROUTED, [fip])

    customer.done(customer.delete(one))

    eventually(lambda: customer.address(fip.id).state.value == "reserved", "the address is reserved, held by nothing")
    assert legs(site, link_name(one)) == []
    assert not answers(site, fip.address)


def test_an_isolated_guest_reaches_nobody_whoever_it_says_it_is(
    site: LocalSite, customer: Customer, project: str, logs: Path
) -> None:
    here, there, *_ = site.nodes("hypervisor")
    near, far = (
        customer.create(
            f"{name}-{project}", Mode.ROUTED, [customer.reserve(POOL4), customer.reserve(POOL6)], hypervisor=node
        )
        for name, node in (("near", here), ("far", there))
    )
    jail = customer.create(f"jail-{project}", Mode.ISOLATED, hypervisor=here)
    uplink = site.plan.uplink
    cast = isolation.Cast(jail, near, far, str(uplink.address4.ip), str(uplink.address6.ip))

    arrived, sent = isolation.attempt(site, logs, "isolated", cast, lifted=False)
    control, _ = isolation.attempt(site, logs, "isolated_control", cast, lifted=True)

    assert sent > 5000
    assert arrived == 0
    assert control > 0
    assert isolation.unseen(logs, "isolated_control") == []
    eventually(lambda: isolation.guarded(site, cast), "the agent puts the guard back")
