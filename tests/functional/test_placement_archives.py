"""Stop is archive: a guest's disk goes to the object store and comes back anywhere, or stays where it is."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from common.errors import Unavailable
from common.http import Unreachable
from dataplane.driver import DriverError
from dataplane.entries import Entry, Forward
from services.netagent.disks import Disk
from services.netagent.render import guest_name
from services.netagent.transfers import Transfers
from services.placement import tasks
from tests.functional.controller import Controller, running
from tests.functional.ledger import Ledger, ok, problem
from tests.functional.test_conversion_workers import Killed, Mortal, claims
from tests.functional.test_placement_fleet import EVIDENCE, do, kill, node


@pytest.fixture
def cloud(placement_database: str, ledger: Ledger) -> Iterator[Controller]:
    with running(placement_database, ledger) as controller:
        yield controller


@pytest.fixture
def mortal(placement_database: str) -> Iterator[Mortal]:
    database = Mortal(placement_database)
    yield database
    database.close()


def disk(cloud: Controller, instance: Any, on: str) -> Disk:
    """The instance's disk, as that hypervisor sees it."""
    return Disk(cloud.fleet[on].disks, guest_name(UUID(instance["port"]["id"])))


def guest(cloud: Controller, name: str = "web", on: str = "hypervisor-1", **more: Any) -> Any:
    """A running instance that has written a file, and has a link to where nobody should look."""
    made = cloud.instance(name, who="operator", hypervisor=on, allocate=["ipv4"], **more)
    content = disk(cloud, made, on).content
    (content / "file").write_text("precious")
    (content / "link").symlink_to("/etc")
    return made


def holds(cloud: Controller, instance: Any, on: str) -> dict[str, str]:
    """What lies in the instance's directory."""
    found = disk(cloud, instance, on).content.iterdir()
    return {path.name: "link" if path.is_symlink() else path.read_text() for path in found}


def stored(cloud: Controller) -> list[Path]:
    return sorted(path for path in cloud.fleet.archives.rglob("*") if path.is_file())


def used(cloud: Controller) -> dict[str, int]:
    return {one["name"]: one["used"]["VCPU"] for one in cloud.get("/nodes", role="hypervisor")["items"]}


def public(instance: Any) -> str:
    return next(str(one["prefix"]) for one in instance["port"]["addresses"] if one["flexible_ip"])


def local(cloud: Controller, *names: str) -> None:
    """These hypervisors keep their disks to themselves."""
    for name in names:
        cloud.node(name, "hypervisor", 20 + int(name[-1]), local_disk=True)
    cloud.sweep()


def lose_the_store(cloud: Controller) -> None:
    cloud.fleet.archives.rename(cloud.fleet.directory / "lost")
    cloud.fleet.archives.write_text("no directory")


def find_the_store(cloud: Controller) -> None:
    cloud.fleet.archives.unlink()
    lost = cloud.fleet.directory / "lost"
    lost.rename(cloud.fleet.archives)


# --- stop and start --------------------------------------------------------------------------------------------------


def test_a_stopped_instances_disk_comes_back_anywhere_without_its_links(cloud: Controller) -> None:
    web = guest(cloud)

    assert cloud.act(web, "stop")["state"] == "succeeded"

    archived = cloud.show(web)
    assert (archived["state"], archived["hypervisor"]) == ("archived", None)
    assert archived["archive"]["url"].startswith(f"{cloud.fleet.archive_url}/{web['id']}/")
    assert (archived["archive"]["size_bytes"], archived["archive"]["left_out"]) == (10_240, 1)
    assert [path.stat().st_size for path in stored(cloud)] == [10_240]
    assert not disk(cloud, web, "hypervisor-1").folder.exists()
    assert set(used(cloud).values()) == {0}

    assert cloud.act(web, "start", {"hypervisor": "hypervisor-2"})["state"] == "succeeded"

    assert holds(cloud, web, "hypervisor-2") == {"file": "precious"}
    assert cloud.holders(public(web)) == {"hypervisor-2": 2}
    assert cloud.show(web)["archive"] is None
    assert stored(cloud) == []


def test_what_keeps_its_disk_to_itself_is_no_hindrance(cloud: Controller) -> None:
    local(cloud, "hypervisor-1", "hypervisor-2")
    web = guest(cloud)
    for host in ("hypervisor-2", "hypervisor-1"):  # where an older copy would be in the way
        cloud.act(web, "stop")
        assert cloud.act(web, "start", {"hypervisor": host})["state"] == "succeeded"
        assert holds(cloud, web, host) == {"file": "precious"}
        (disk(cloud, web, host).content / host).write_text("was here")
        (disk(cloud, web, host).content / host).unlink()
    assert stored(cloud) == []


def test_an_upload_that_fails_leaves_the_instance_running_where_it_was(cloud: Controller) -> None:
    web = guest(cloud)
    cloud.fleet.archives.mkdir()
    lose_the_store(cloud)

    failed = cloud.act(web, "stop")

    assert (failed["state"], failed["error"]["code"]) == ("failed", "agent.archive.store_unreachable")
    shown = cloud.show(web)
    assert (shown["state"], shown["hypervisor"], shown["archive"]) == ("running", "hypervisor-1", None)
    assert holds(cloud, web, "hypervisor-1") == {"file": "precious", "link": "link"}
    assert disk(cloud, web, "hypervisor-1").in_use
    assert cloud.holders(public(web)) == {"hypervisor-1": 1}
    assert used(cloud)["hypervisor-1"] == 1
    assert claims(cloud) == 0

    find_the_store(cloud)
    assert cloud.act(web, "stop")["state"] == "succeeded"


@pytest.mark.parametrize("step", ["withdraw", "archive"])
def test_a_stop_is_cancelled_as_long_as_the_disk_is_there(cloud: Controller, step: str) -> None:
    web = guest(cloud)
    if step == "withdraw":
        cloud.fleet["hypervisor-1"].cut = True
    else:
        cloud.fleet.store_works.clear()
    stopping = cloud.act(web, "stop")
    assert (stopping["state"], stopping["steps"][-1]["name"]) == ("waiting", step)
    assert stopping["waiting_for"]["code"] == {"withdraw": "node.unreachable", "archive": "agent.disk.busy"}[step]

    ok(cloud.post(f"/operations/{stopping['id']}:cancel", None, "operator"))
    cloud.fleet["hypervisor-1"].cut = False
    cloud.sweep()
    cloud.fleet.store_works.set()
    cloud.sweep()

    assert cloud.operation(stopping)["state"] == "cancelled"
    assert (cloud.show(web)["state"], cloud.show(web)["hypervisor"]) == ("running", "hypervisor-1")
    assert holds(cloud, web, "hypervisor-1") == {"file": "precious", "link": "link"}
    assert cloud.holders(public(web)) == {"hypervisor-1": 1}
    assert cloud.act(web, "stop")["state"] == "succeeded"


def test_a_start_waits_for_the_store_and_says_so(cloud: Controller) -> None:
    web = guest(cloud)
    cloud.act(web, "stop")
    lose_the_store(cloud)
    starting = cloud.act(web, "start", {"hypervisor": "hypervisor-2"})
    assert (starting["state"], starting["waiting_for"]["code"]) == ("waiting", "agent.archive.store_unreachable")
    assert used(cloud)["hypervisor-2"] == 1

    ok(cloud.post(f"/operations/{starting['id']}:cancel", None, "operator"))
    cloud.settle()
    assert cloud.operation(starting)["state"] == "cancelled"
    assert cloud.show(web)["state"] == "archived"
    assert set(used(cloud).values()) == {0}

    again = cloud.act(web, "start", {"hypervisor": "hypervisor-3"})
    find_the_store(cloud)
    cloud.sweep()
    assert cloud.operation(again)["state"] == "succeeded"
    assert holds(cloud, web, "hypervisor-3") == {"file": "precious"}


@pytest.mark.parametrize("apart", [False, True])
def test_a_start_on_a_host_that_falls_silent_is_cancelled_and_done_elsewhere(cloud: Controller, apart: bool) -> None:
    if apart:
        local(cloud, "hypervisor-2")
    web = guest(cloud)
    cloud.act(web, "stop")
    cloud.fleet.store_works.clear()
    starting = cloud.act(web, "start", {"hypervisor": "hypervisor-2"})
    assert (starting["state"], starting["steps"][-1]["name"]) == ("waiting", "restore")
    kill(cloud, "hypervisor-2")
    ok(cloud.post(f"/operations/{starting['id']}:cancel", None, "operator"))
    cloud.settle()
    assert cloud.operation(starting)["state"] == "cancelled"

    cloud.fleet.store_works.set()  # its agent goes on with what it was told
    assert cloud.act(web, "start", {"hypervisor": "hypervisor-3"})["state"] == "succeeded"
    assert holds(cloud, web, "hypervisor-3") == {"file": "precious"}
    (disk(cloud, web, "hypervisor-3").content / "more").write_text("since")
    cloud.fleet["hypervisor-2"].cut = False
    cloud.sweep()
    assert cloud.act(web, "move", {"kind": "cold", "to": "hypervisor-2"})["state"] == "succeeded"
    assert holds(cloud, web, "hypervisor-2") == {"file": "precious", "more": "since"}


def test_a_start_whose_guest_may_have_run_is_cancelled_as_a_stop(cloud: Controller) -> None:
    web = guest(cloud)
    cloud.act(web, "stop")

    def refuse(entry: Entry) -> None:
        if isinstance(entry, Forward):
            raise DriverError("route.refused", "no")

    kernel = cloud.fleet["hypervisor-2"].kernel
    kernel.refuse = refuse
    starting = cloud.act(web, "start", {"hypervisor": "hypervisor-2"})
    assert (starting["waiting_for"]["code"], starting["steps"][-1]["name"]) == ("node.failed", "prepare")
    (disk(cloud, web, "hypervisor-2").content / "more").write_text("by its guest")

    ok(cloud.post(f"/operations/{starting['id']}:cancel", None, "operator"))
    kernel.refuse = lambda _: None
    cloud.sweep()
    cloud.sweep()

    assert cloud.operation(starting)["state"] == "cancelled"
    assert cloud.show(web)["state"] == "archived"
    assert (len(stored(cloud)), set(used(cloud).values())) == (1, {0})
    cloud.act(web, "start", {"hypervisor": "hypervisor-3"})
    assert holds(cloud, web, "hypervisor-3") == {"file": "precious", "more": "by its guest"}


def test_an_archive_that_was_altered_is_not_started_from(cloud: Controller) -> None:
    web = guest(cloud)
    cloud.act(web, "stop")
    (archive,) = stored(cloud)
    whole = archive.read_bytes()
    archive.write_bytes(bytes(len(whole)))

    failed = cloud.act(web, "start", {"hypervisor": "hypervisor-2"})

    assert (failed["state"], failed["error"]["code"]) == ("failed", "agent.archive.differs")
    assert cloud.show(web)["state"] == "archived"
    assert set(used(cloud).values()) == {0}
    archive.write_bytes(whole)
    assert cloud.act(web, "start")["state"] == "succeeded"


def test_a_slow_store_holds_up_no_worker_and_wakes_one_when_it_has_ended(cloud: Controller) -> None:
    web = guest(cloud)
    cloud.fleet["hypervisor-1"].transfers = Transfers()
    cloud.fleet.store_works.clear()
    stopping = cloud.act(web, "stop")
    assert (stopping["state"], stopping["waiting_for"]["code"]) == ("waiting", "disk.transfer")
    assert cloud.instance("other")["state"] == "running"
    assert cloud.rung == []

    cloud.fleet.store_works.set()

    ends = time.monotonic() + 10
    while not cloud.rung:
        assert time.monotonic() < ends, "nobody was woken"
    cloud.settle()
    assert cloud.operation(stopping)["state"] == "succeeded"


@pytest.mark.parametrize("archived", [True, False])
def test_a_deleted_instance_leaves_nothing_in_any_storage(cloud: Controller, archived: bool) -> None:
    web = guest(cloud)
    if archived:
        cloud.act(web, "stop")
    assert cloud.request("red", "DELETE", f"/instances/{web['id']}").status_code == 404  # another's
    operation = ok(cloud.request("operator", "DELETE", f"/instances/{web['id']}"))
    cloud.settle()
    assert cloud.operation(operation)["state"] == "succeeded"
    assert not disk(cloud, web, "hypervisor-1").folder.exists()
    cloud.sweep()
    assert stored(cloud) == []


# --- cold moves ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["routed", "nat"])
@pytest.mark.parametrize("apart", [False, True])
def test_a_cold_move_takes_disk_and_addresses_along(cloud: Controller, mode: str, apart: bool) -> None:
    if apart:
        local(cloud, "hypervisor-1", "hypervisor-2")
    web = guest(cloud, mode=mode)
    flexible = [one["prefix"] for one in web["port"]["addresses"] if one["flexible_ip"]]

    moved = cloud.act(web, "move", {"kind": "cold", "to": "hypervisor-2"})

    assert (moved["state"], moved["kind"]) == ("succeeded", "instance.move")
    shown = cloud.show(web)
    assert (shown["state"], shown["hypervisor"], shown["archive"]) == ("running", "hypervisor-2", None)
    assert [one["prefix"] for one in shown["port"]["addresses"] if one["flexible_ip"]] == flexible
    assert holds(cloud, web, "hypervisor-2") == {"file": "precious"}
    assert (stored(cloud), used(cloud)["hypervisor-1"], used(cloud)["hypervisor-2"]) == ([], 0, 1)
    if mode == "routed":
        assert cloud.holders(public(web)) == {"hypervisor-2": 2}
    else:
        private = cloud.fleet["gateway-1"].maps()[public(web).split("/")[0]]
        assert private.startswith("10.22.")
        assert f"{private}/32" in {one["prefix"] for one in shown["port"]["addresses"]}


def test_a_converted_guest_takes_its_address_itself_after_a_cold_move(cloud: Controller) -> None:
    web = guest(cloud, mode="nat")
    cloud.act(web, "convert")
    assert cloud.show(web)["port"]["mode"] == "hostnat"
    assert cloud.act(web, "move", {"kind": "cold", "to": "hypervisor-2"})["state"] == "succeeded"
    shown = cloud.show(web)
    assert (shown["port"]["mode"], public(shown)) == ("routed", public(web))
    assert list(cloud.holders(public(web))) == ["hypervisor-2"]
    assert holds(cloud, web, "hypervisor-2") == {"file": "precious"}


def test_a_cold_move_holds_its_room_at_both_ends_until_the_disk_is_away(cloud: Controller) -> None:
    web = guest(cloud)
    cloud.fleet.store_works.clear()
    moving = cloud.act(web, "move", {"kind": "cold", "to": "hypervisor-2"})
    assert (moving["state"], cloud.show(web)["state"]) == ("waiting", "moving")
    assert (used(cloud)["hypervisor-1"], used(cloud)["hypervisor-2"]) == (1, 1)
    cloud.fleet.store_works.set()
    cloud.sweep()
    assert cloud.operation(moving)["state"] == "succeeded"


def test_a_cold_move_without_room_or_to_where_it_is_changes_nothing(cloud: Controller) -> None:
    web = guest(cloud)
    for number in range(4):
        cloud.instance(f"full-{number}", who="operator", hypervisor="hypervisor-2")
    path, before = f"/instances/{web['id']}:move", cloud.contents()
    for body, answer in (
        ({"kind": "cold", "to": "hypervisor-2"}, (409, "placement.node.full")),
        ({"kind": "cold", "to": "hypervisor-1"}, (409, "placement.instance.same_hypervisor")),
        ({"kind": "cold", "to": "gateway-1"}, (404, "placement.node.unknown")),
        ({"kind": "lukewarm"}, (422, "request.invalid")),
    ):
        assert problem(cloud.post(path, body, "operator")) == answer
    assert cloud.contents() == before
    cloud.act(web, "stop")
    before = cloud.contents()
    assert problem(cloud.post(path, {"kind": "cold"}, "operator")) == (409, "placement.instance.state")
    assert cloud.contents() == before


def test_a_disk_that_no_other_node_can_read_moves_cold_alone(cloud: Controller) -> None:
    local(cloud, "hypervisor-2")
    web = guest(cloud)
    path, refused = f"/instances/{web['id']}:move", (409, "placement.node.local_disk")
    assert problem(cloud.post(path, {"to": "hypervisor-2"}, "operator")) == refused
    assert cloud.act(web, "move")["result"]["hypervisor"] == "hypervisor-3"
    assert cloud.act(web, "move", {"to": "hypervisor-2", "kind": "cold"})["state"] == "succeeded"
    before = cloud.contents()
    assert problem(cloud.post(path, {"to": "hypervisor-1"}, "operator")) == refused
    drain = f"/nodes/{node(cloud, 'hypervisor-2')['id']}:drain"
    assert problem(cloud.post(drain, None, "operator")) == refused
    assert cloud.contents() == before


def test_an_evacuation_starts_nothing_where_its_disk_cannot_be_read(cloud: Controller) -> None:
    local(cloud, "hypervisor-2")
    web = guest(cloud)
    evacuated(cloud, "hypervisor-1")
    assert cloud.show(web)["hypervisor"] == "hypervisor-3"
    assert holds(cloud, web, "hypervisor-3")["file"] == "precious"


def test_a_cold_move_whose_upload_fails_stays_where_it_was(cloud: Controller) -> None:
    web = guest(cloud, mode="nat")
    before = [one["prefix"] for one in web["port"]["addresses"]]
    cloud.fleet.archives.write_text("no directory")
    failed = cloud.act(web, "move", {"kind": "cold", "to": "hypervisor-2"})
    assert (failed["state"], failed["error"]["code"]) == ("failed", "agent.archive.store_unreachable")
    shown = cloud.show(web)
    assert (shown["state"], shown["hypervisor"]) == ("running", "hypervisor-1")
    assert [one["prefix"] for one in shown["port"]["addresses"]] == before
    assert (used(cloud)["hypervisor-1"], used(cloud)["hypervisor-2"]) == (1, 0)


# --- hosts that die meanwhile ----------------------------------------------------------------------------------------


def evacuated(cloud: Controller, name: str) -> None:
    kill(cloud, name)
    do(cloud, name, "fence", EVIDENCE)
    assert do(cloud, name, "evacuate")["state"] == "succeeded"


def test_a_stop_whose_host_dies_gives_way_to_its_evacuation(cloud: Controller) -> None:
    web = guest(cloud)
    cloud.fleet["hypervisor-1"].cut = True
    stopping = cloud.act(web, "stop")
    evacuated(cloud, "hypervisor-1")
    preempted = cloud.operation(stopping)
    assert (preempted["state"], preempted["error"]["code"]) == ("failed", "placement.operation.preempted")
    shown = cloud.show(web)
    assert shown["state"] == "running"
    assert holds(cloud, web, shown["hypervisor"])["file"] == "precious"
    assert cloud.act(web, "stop")["state"] == "succeeded"


def test_a_host_that_dies_with_the_disk_archived_is_helped_by_another(
    cloud: Controller, monkeypatch: pytest.MonkeyPatch
) -> None:
    web = guest(cloud)
    stopping = ok(cloud.post(f"/instances/{web['id']}:stop", None, "operator"))
    host = cloud.fleet["hypervisor-1"]

    def dies(*_: object) -> None:
        host.cut = True
        raise Unreachable("gone")

    monkeypatch.setattr(host, "discard_disk", dies)
    cloud.settle()
    waits = cloud.operation(stopping)
    assert (waits["state"], waits["steps"][-1]["name"]) == ("waiting", "discard")
    kill(cloud, "hypervisor-1")
    do(cloud, "hypervisor-1", "fence", EVIDENCE)
    cloud.sweep()
    assert cloud.operation(stopping)["state"] == "succeeded"
    assert not disk(cloud, web, "hypervisor-2").folder.exists()
    assert cloud.act(web, "start")["state"] == "succeeded"


def test_what_was_on_its_way_to_a_dead_host_goes_to_another(cloud: Controller) -> None:
    web, mail = guest(cloud), guest(cloud, "mail", mode="nat")
    cloud.act(web, "stop")
    cloud.fleet["hypervisor-2"].cut = True
    starting = ok(cloud.post(f"/instances/{web['id']}:start", {"hypervisor": "hypervisor-2"}, "operator"))
    moving = ok(cloud.post(f"/instances/{mail['id']}:move", {"kind": "cold", "to": "hypervisor-2"}, "operator"))
    cloud.settle()
    assert {cloud.operation(one)["state"] for one in (starting, moving)} == {"waiting"}

    evacuated(cloud, "hypervisor-2")
    cloud.sweep()

    for operation, instance in ((starting, web), (moving, mail)):
        assert cloud.operation(operation)["state"] == "succeeded"
        shown = cloud.show(instance)
        assert (shown["state"], shown["hypervisor"] == "hypervisor-2") == ("running", False)
        assert holds(cloud, instance, shown["hypervisor"])["file"] == "precious"
    assert used(cloud)["hypervisor-2"] == 0
    assert stored(cloud) == []


# --- workers that die ------------------------------------------------------------------------------------------------


def to_the_end(cloud: Controller, mortal: Mortal, operation: Any) -> Any:
    """Sweep, each wake-up in a worker of its own that dies at its first commit, until the Operation is over."""
    workers = tasks.use_cases(cloud.another(mortal))
    for _ in range(60):
        cloud.hear()
        cloud.reconciler.sweep()
        pending = [*cloud.rung, *cloud.ledger.rung()]
        cloud.rung.clear()
        for name, names in pending:
            try:
                workers[name](*names)
            except (Killed, Unavailable):
                continue
        shown = cloud.operation(operation)
        if shown["state"] in {"succeeded", "failed", "cancelled"}:
            return shown
    raise AssertionError(f"it never comes to an end: {shown}")


@pytest.mark.parametrize("mode", ["routed", "nat"])
def test_workers_that_die_after_every_commit_stop_start_and_move(cloud: Controller, mortal: Mortal, mode: str) -> None:
    web = guest(cloud, mode=mode)
    for verb, body, host in (
        ("stop", None, None),
        ("start", {"hypervisor": "hypervisor-2"}, "hypervisor-2"),
        ("move", {"kind": "cold", "to": "hypervisor-3"}, "hypervisor-3"),
    ):
        before = mortal.deaths
        done = to_the_end(cloud, mortal, ok(cloud.post(f"/instances/{web['id']}:{verb}", body, "operator")))
        assert done["state"] == "succeeded", done
        assert mortal.deaths - before >= 3
        shown = cloud.show(web)
        assert (shown["hypervisor"], claims(cloud)) == (host, 0)
        assert used(cloud) == {one: int(one == host) for one in used(cloud)}
        if host:
            assert holds(cloud, web, host) == {"file": "precious"}
    cloud.sweep()
    assert stored(cloud) == []
    public_ip = public(web)
    assert list(cloud.holders(public_ip)) == (["hypervisor-3"] if mode == "routed" else [])


def test_a_worker_that_dies_while_a_stop_goes_back_loses_nothing(cloud: Controller, mortal: Mortal) -> None:
    web = guest(cloud)
    cloud.fleet.archives.write_text("no directory")
    failed = to_the_end(cloud, mortal, ok(cloud.post(f"/instances/{web['id']}:stop", None, "operator")))
    assert (failed["state"], failed["error"]["code"]) == ("failed", "agent.archive.store_unreachable")
    assert (cloud.show(web)["state"], node(cloud, "hypervisor-1")["used"]["VCPU"]) == ("running", 1)
    assert holds(cloud, web, "hypervisor-1") == {"file": "precious", "link": "link"}
