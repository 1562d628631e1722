"""Legs and the guests behind them: the same tests on the in-memory kernel and on Linux."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_interface
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from dataplane.driver import DriverError
from dataplane.entries import GuestAddress, Leg, LegState
from dataplane.guests import GuestAddresses
from dataplane.links import GATEWAY_MAC, Legs
from dataplane.memory import Kernel, MemoryGuestAddresses, MemoryLegs, World
from services.netagent import guest_helper
from services.netagent.disks import Disk
from services.netagent.guest import NOBODY
from services.netagent.guests import HelperGuests
from services.netagent.render import link_of
from tests.kernel.hosts import Helper, Host, Within, hosts, needs_root, until

MAC = "06:00:00:00:00:07"
PUBLIC, SIXTH = ip_interface("198.18.0.5/32"), ip_interface("2001:db8:5::10/64")


class Node:
    """A hypervisor's legs and guests' addresses."""

    legs: Any
    addresses: Any

    def restart(self) -> None:
        """The agent forgets everything."""


class MemoryNode(Node):
    def __init__(self, name: str, world: World) -> None:
        self.kernel = Kernel(name, world)
        self.restart()

    def restart(self) -> None:
        self.legs = MemoryLegs(self.kernel)
        self.addresses = MemoryGuestAddresses(self.kernel, self.legs, link_of)


class LinuxNode(Node):
    def __init__(self, host: Host, helper: Helper) -> None:
        self.host = host
        self.helper = helper
        self.guarded: list[tuple[str, bool]] = []  # link, and whether it was up already
        self.restart()

    def restart(self) -> None:
        guests = HelperGuests(self.helper.socket)
        legs = Legs(self.host.kernel, guests, self._guard)
        self.legs = Within(self.host, lambda: legs)
        self.addresses = Within(self.host, lambda: GuestAddresses(legs, guests, link_of))

    def _guard(self, link: str) -> None:
        seen = self.host.kernel.link(link)
        assert seen is not None
        self.guarded.append((link, seen.up))


@pytest.fixture(scope="module")
def helper(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Helper]:
    started = Helper(tmp_path_factory.mktemp("helper"))
    yield started
    started.close()


@pytest.fixture
def linux(helper: Helper) -> Iterator[list[LinuxNode]]:
    with hosts("hv1", "hv2") as made:
        yield [LinuxNode(host, helper) for host in made]


@pytest.fixture(params=["memory", pytest.param("linux", marks=needs_root)])
def pair(request: pytest.FixtureRequest) -> list[Node]:
    """Two hypervisors that know the same guests."""
    if request.param == "memory":
        world = World()
        return [MemoryNode("hv1", world), MemoryNode("hv2", world)]
    nodes: list[Node] = request.getfixturevalue("linux")
    return nodes


@pytest.fixture
def leg() -> Leg:
    guest = uuid4().hex
    return Leg(link_of(guest), guest, MAC, LegState.ACTIVE, "web-1")


def inside(helper: Helper, guest: str, *command: str) -> str:
    network = helper.guests / guest / "net"
    done = subprocess.run(["nsenter", f"--net={network}", *command], capture_output=True, text=True, check=True)
    return done.stdout


# --- both kernels ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [LegState.ACTIVE, LegState.STANDBY, LegState.LEAVING])
def test_a_leg_is_read_back_as_it_was_put(pair: list[Node], leg: Leg, state: LegState) -> None:
    wanted = replace(leg, state=state)
    for _ in range(2):
        pair[0].legs.put(wanted)
        assert pair[0].legs.observe() == {leg.link: wanted}
        assert pair[0].legs.observe([leg.link, "gnowhere"]) == {leg.link: wanted}
    assert pair[1].legs.observe() == {}


def test_a_leg_is_found_again_by_an_agent_without_memory(pair: list[Node], leg: Leg) -> None:
    pair[0].legs.put(leg)
    pair[0].restart()
    assert pair[0].legs.observe() == {leg.link: leg}


def test_every_state_follows_every_other(pair: list[Node], leg: Leg) -> None:
    for state in (LegState.STANDBY, LegState.ACTIVE, LegState.LEAVING, LegState.STANDBY, LegState.LEAVING):
        wanted = replace(leg, state=state)
        pair[0].legs.put(wanted)
        assert pair[0].legs.observe() == {leg.link: wanted}


def test_dropping_a_leg_leaves_nothing_and_repeats(pair: list[Node], leg: Leg) -> None:
    pair[0].legs.put(leg)
    for _ in range(2):
        pair[0].legs.drop(leg)
        assert pair[0].legs.observe() == {}


def test_an_active_leg_takes_the_guest_from_every_other(pair: list[Node], leg: Leg) -> None:
    first, second = pair
    first.legs.put(leg)
    second.legs.put(replace(leg, state=LegState.STANDBY))
    assert first.legs.observe() == {leg.link: leg}

    second.legs.put(leg)

    assert second.legs.observe() == {leg.link: leg}
    assert first.legs.observe() != {leg.link: leg}, "a leg that is not really active does not read as active"
    first.legs.put(replace(leg, state=LegState.LEAVING))
    assert first.legs.observe() == {leg.link: replace(leg, state=LegState.LEAVING)}
    assert second.legs.observe() == {leg.link: leg}


def test_a_leg_that_may_not_take_leaves_the_guest_to_the_one_that_carries_it(pair: list[Node], leg: Leg) -> None:
    """A host that comes back knows of its guests only that it had them."""
    here, there = pair
    resumed = replace(leg, takes=False)
    here.legs.put(resumed)  # nobody has it
    there.legs.put(leg)
    for _ in range(2):
        with pytest.raises(DriverError) as refused:
            here.legs.put(resumed)
        assert refused.value.code == "leg.elsewhere"
        assert there.legs.observe() == {leg.link: leg}
        here.legs.drop(leg)
    there.legs.put(resumed)  # it has it already
    there.legs.drop(leg)
    here.legs.put(resumed)
    assert here.legs.observe() == {leg.link: leg}


def test_a_guest_is_configured_where_its_active_leg_is(pair: list[Node], leg: Leg) -> None:
    first, second = pair
    first.legs.put(leg)
    second.legs.put(replace(leg, state=LegState.STANDBY))
    rows = [GuestAddress(leg.guest, PUBLIC), GuestAddress(leg.guest, SIXTH)]
    for row in rows:
        first.addresses.put(row)
        first.addresses.put(row)

    assert first.addresses.observe() == {row.key: row for row in rows}
    assert first.addresses.observe([rows[0].key]) == {rows[0].key: rows[0]}
    assert second.addresses.observe() == {}
    with pytest.raises(DriverError):
        second.addresses.put(rows[0])
    second.addresses.drop(rows[0])
    assert first.addresses.observe().keys() == {row.key for row in rows}

    first.addresses.drop(rows[0])
    assert first.addresses.observe() == {rows[1].key: rows[1]}


def test_a_guest_outlives_the_leg_it_came_by(pair: list[Node], leg: Leg) -> None:
    first, second = pair
    row = GuestAddress(leg.guest, PUBLIC)
    first.legs.put(leg)
    first.addresses.put(row)
    second.legs.put(leg)
    first.legs.drop(leg)
    assert second.addresses.observe() == {row.key: row}


# --- Linux -----------------------------------------------------------------------------------------------------------


@needs_root
def test_our_end_is_guarded_before_it_is_up(linux: list[LinuxNode], leg: Leg) -> None:
    """Q27."""
    linux[0].legs.put(leg)
    assert linux[0].guarded == [(leg.link, False)]


@needs_root
def test_our_end_is_the_same_on_every_hypervisor(linux: list[LinuxNode], leg: Leg) -> None:
    for node in linux:
        node.legs.put(leg)
        link = node.host.kernel.link(leg.link)
        assert link is not None
        assert (link.mac, link.mtu, link.up) == (GATEWAY_MAC, 1500, True)
        assert link.index != link.peer, "the kernel would tell late that carrier is lost"
        held = {address for _, address in node.host.kernel.addresses(link.index)}
        assert held == {ip_interface("169.254.0.1/32"), ip_interface("fe80::1/64")}


@needs_root
def test_a_standby_leg_has_no_carrier_so_its_routes_are_not_taken(linux: list[LinuxNode], leg: Leg) -> None:
    linux[0].legs.put(replace(leg, state=LegState.STANDBY))
    link = linux[0].host.kernel.link(leg.link)
    assert link is not None
    assert (link.up, link.running) == (True, False)


@needs_root
@pytest.mark.parametrize("state", [LegState.ACTIVE, LegState.STANDBY, LegState.LEAVING])
@pytest.mark.parametrize(
    "command",
    [
        "link set {} down",
        "link set {} mtu 1400",
        "link set {} address 02:00:00:00:00:09",
        "addr del 169.254.0.1/32 dev {}",
        "addr del fe80::1/64 dev {}",
    ],
)
def test_a_leg_altered_behind_our_back_reads_as_unsound(
    linux: list[LinuxNode], leg: Leg, state: LegState, command: str
) -> None:
    node = linux[0]
    leg = replace(leg, state=state)
    node.legs.put(leg)
    node.host.ip(*command.format(leg.link).split())
    unsound = {leg.link: replace(leg, state=LegState.UNSOUND)}
    assert node.legs.observe([leg.link]) == unsound
    assert node.legs.observe() == unsound

    node.legs.put(leg)
    assert node.legs.observe() == {leg.link: leg}


@needs_root
def test_links_of_others_are_neither_reported_nor_removed(linux: list[LinuxNode], leg: Leg) -> None:
    node = linux[0]
    node.host.ip("link", "add", leg.link, "type", "veth", "peer", "name", "other")
    assert node.legs.observe() == {}
    node.legs.drop(leg)
    assert node.host.kernel.link(leg.link) is not None


@needs_root
def test_a_tap_that_exists_is_adopted_and_stays(linux: list[LinuxNode], leg: Leg) -> None:
    node = linux[0]
    node.host.ip("tuntap", "add", "mode", "tap", "name", leg.link)
    node.legs.put(leg)
    assert node.legs.observe() == {leg.link: leg}
    assert node.guarded == [(leg.link, False)]

    node.legs.drop(leg)
    assert node.legs.observe() == {}
    assert node.host.kernel.link(leg.link) is not None


@needs_root
def test_a_leg_whose_making_was_cut_short_is_made_anew(linux: list[LinuxNode], leg: Leg) -> None:
    node = linux[0]
    node.host.ip("link", "add", leg.link, "address", GATEWAY_MAC, "type", "veth", "peer", "name", "other")
    node.legs.put(leg)
    assert node.legs.observe() == {leg.link: leg}


@needs_root
def test_the_guest_answers_on_all_its_addresses(linux: list[LinuxNode], helper: Helper, leg: Leg) -> None:
    node = linux[0]
    node.legs.put(leg)
    for address in (PUBLIC, SIXTH):
        node.addresses.put(GuestAddress(leg.guest, address))
        node.host.ip("route", "add", str(address.network), "dev", leg.link)

    for address in (PUBLIC, SIXTH):
        until(lambda target=address.ip: node.host.run(lambda: _echoes(str(target))), f"{address} echoes")  # type: ignore[misc]
    answer = node.host.run(lambda: _http(str(PUBLIC.ip)))
    assert answer == {"name": "web-1", "addresses": [str(PUBLIC.ip), str(SIXTH.ip)], "boots": 1}
    assert f"src {PUBLIC.ip}" in inside(helper, leg.guest, "ip", "route", "show", "default")
    assert f"src {SIXTH.ip}" in inside(helper, leg.guest, "ip", "-6", "route", "show", "default")


@needs_root
def test_killing_the_helper_costs_the_guest_nothing(linux: list[LinuxNode], helper: Helper, leg: Leg) -> None:
    node = linux[0]
    node.legs.put(leg)
    node.addresses.put(GuestAddress(leg.guest, PUBLIC))
    folder = guest_helper.find(helper.guests, "web-1") or Path()
    process = (helper.guests / leg.guest / "pid").read_text()

    helper.kill()
    assert Path("/proc", process).exists()
    helper.start()
    node.legs.put(replace(leg, state=LegState.STANDBY))
    node.legs.put(leg)

    assert (helper.guests / leg.guest / "pid").read_text() == process
    assert node.addresses.observe().keys() == {(leg.guest, PUBLIC)}
    assert folder.parent == helper.guests


@needs_root
def test_a_guest_whose_process_died_gets_a_new_one(linux: list[LinuxNode], helper: Helper, leg: Leg) -> None:
    linux[0].legs.put(leg)
    before = int((helper.guests / leg.guest / "pid").read_text())
    os.kill(before, 9)
    until(lambda: not Path(f"/proc/{before}").exists(), "the process is gone")
    linux[0].legs.put(leg)
    assert int((helper.guests / leg.guest / "pid").read_text()) != before


@needs_root
def test_a_guest_without_leg_is_destroyed(linux: list[LinuxNode], helper: Helper, leg: Leg) -> None:
    linux[0].legs.put(leg)
    process = (helper.guests / leg.guest / "pid").read_text()
    linux[0].legs.drop(leg)
    until(lambda: not (helper.guests / leg.guest).exists(), "the guest is collected")
    until(lambda: not Path("/proc", process).exists(), "its process ends")


@needs_root
def test_a_disk_outlives_its_guest_and_is_free_when_the_guest_has_ended(
    linux: list[LinuxNode], helper: Helper, leg: Leg
) -> None:
    disk = Disk(helper.disks, leg.guest)

    def boots() -> str:
        counted = disk.content / "boots"
        return counted.read_text().strip() if counted.exists() else ""

    for count, node in enumerate((linux[0], linux[1]), 1):
        node.legs.put(leg)
        assert disk.in_use
        until(lambda count=count: boots() == str(count), "the guest has counted its start")  # type: ignore[misc]
        process = (helper.guests / leg.guest / "pid").read_text()
        node.legs.drop(leg)
        until(lambda: not disk.in_use, "the guest has ended")
        assert not Path("/proc", process).exists(), "it may still write"
    assert disk.content.stat().st_uid == NOBODY


@needs_root
def test_a_disk_whose_host_was_switched_off_is_free_when_its_leg_is_dropped(
    linux: list[LinuxNode], helper: Helper, leg: Leg
) -> None:
    disk = Disk(helper.disks, leg.guest)
    linux[0].legs.put(leg)
    helper.kill()
    guest_helper.destroy_all(helper.guests)  # as a reboot leaves it
    helper.start()
    assert disk.in_use, "another host cannot know that the guest has ended"

    linux[0].legs.drop(leg)

    assert not disk.in_use


def _echoes(address: str) -> bool:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.settimeout(0.5)
        probe.connect((address, 7))
        try:
            probe.send(b"are you there")
            return probe.recv(100) == b"are you there"
        except OSError:
            return False


def _http(address: str) -> Any:
    with socket.create_connection((address, 80), timeout=5) as connection:
        connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
        answer = b""
        while data := connection.recv(4096):
            answer += data
    return json.loads(answer.partition(b"\r\n\r\n")[2])
