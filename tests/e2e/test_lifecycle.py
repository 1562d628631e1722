"""A local cloud comes up, heals after crashes, and goes without a trace.

The listings are the whole host's, so nothing else may make namespaces or BPF programs meanwhile.
"""

from __future__ import annotations

import ctypes
import json
import os
import platform
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cloud import guests, namespaces, operations, state
from cloud.control import Supervision
from cloud.namespaces import entered, run
from cloud.plan import Paths
from cloud.site import LocalSite
from common.errors import Conflict, NotFound

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: starts a local cloud")

BPF_NEXT_ID = {"program": 11, "map": 12, "link": 31}  # of the bpf system call
BPF_SYSCALL = {"x86_64": 321, "aarch64": 280}


def eventually(condition: Callable[[], object], what: str, within_s: float = 30) -> None:
    ends = time.monotonic() + within_s
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < ends, f"not within {within_s} s: {what}"
        pause.wait(0.02)


def bpf_objects(kind: str) -> set[int]:
    """Numbers of all BPF programs, maps or links of the host, as the kernel lists them."""
    libc = ctypes.CDLL(None, use_errno=True)
    found: set[int] = set()
    attributes = (ctypes.c_uint32 * 4)()
    while libc.syscall(BPF_SYSCALL[platform.machine()], BPF_NEXT_ID[kind], ctypes.byref(attributes), 12) == 0:
        found.add(attributes[1])
        attributes[0] = attributes[1]
    return found


def listings() -> dict[str, object]:
    """What `down` must leave as it was before `up`. Processes are those of our own programs."""
    processes = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout.splitlines()
    return {
        "namespaces": sorted(entry.name for entry in namespaces.ROOT.iterdir()),
        "links": sorted(row["ifname"] for row in json.loads(run(["ip", "-json", "link"]))),
        "rules": run(["ip", "rule"]) + run(["ip", "-6", "rule"]),
        "routes": run(["ip", "route", "show", "table", "all"]),
        "nft": run(["nft", "list", "ruleset"]),
        "programs": bpf_objects("program"),
        "maps": bpf_objects("map"),
        "bpf links": bpf_objects("link"),
        "mounts": sorted(line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()),
        "processes": sorted(line for line in processes if NAME in line),
        "directories": sorted(str(path) for root in DIRECTORIES for path in Path(root).glob("*")),
    }


def differences(before: dict[str, object], after: dict[str, object]) -> dict[str, tuple[object, object]]:
    return {key: (before[key], after[key]) for key in before if before[key] != after[key]}


def assert_as_before(before: dict[str, object]) -> None:
    """The kernel frees BPF objects a moment after the last reference to them is gone."""
    ends = time.monotonic() + 10
    pause = threading.Event()
    while differences(before, listings()) and time.monotonic() < ends:
        pause.wait(0.1)
    assert differences(before, listings()) == {}


NAME = f"gwte{os.getpid() % 100000}"
DIRECTORIES = ("/run/godwit", "/var/lib/godwit", "/var/log/godwit")


class Bystander:
    """A namespace that is named like ours, and an nft table, that are none of ours."""

    namespace = f"{NAME}-bystander"
    table = f"{NAME}bystander"

    def __enter__(self) -> None:
        namespaces.ensure(self.namespace)
        run(["nft", "add", "table", "inet", self.table])

    def __exit__(self, *_: object) -> None:
        run(["nft", "delete", "table", "inet", self.table])
        namespaces.remove(self.namespace)


@pytest.fixture
def name() -> Iterator[str]:
    yield NAME
    operations.down(NAME)


def up(name: str) -> operations.CloudStatus:
    return operations.up(name, hypervisors=2, gateways=1)


def test_a_cloud_heals_after_crashes_and_goes_without_a_trace(name: str) -> None:
    with Bystander():
        before = listings()

        made = up(name)

        assert made.state == "running"
        assert {node.condition for node in made.nodes} == {"up"}
        assert [node.name for node in made.nodes] == ["edge", "gateway-1", "hypervisor-1", "hypervisor-2"]
        with pytest.raises(Conflict, match="has 2 hypervisors and 1 gateways"):
            operations.up(name, hypervisors=3)

        supervision = Supervision(Paths.of(name))
        os.kill(supervision.pid(), signal.SIGKILL)
        eventually(lambda: not supervision.runs, "the supervisor is dead")
        run(["ip", "-netns", f"{name}-hypervisor-1", "link", "delete", "vx0"])
        run(["ip", "netns", "delete", f"{name}-gateway-1"])
        assert operations.status(name).state == "stopped"

        healed = up(name)

        assert healed.state == "running"
        assert healed.apis == made.apis
        assert {node.condition for node in healed.nodes} == {"up"}

        os.kill(supervision.pid(), signal.SIGKILL)  # `down` after a crash
        assert operations.down(name)

        assert_as_before(before)
        assert not operations.down(name)
        with pytest.raises(NotFound, match="there is no cloud"):
            operations.status(name)


def test_data_outlives_a_cloud_that_is_told_to_keep_it(name: str) -> None:
    up(name)
    passwords = state.load(name).database_passwords
    operations.down(name, keep_data=True)
    assert not [entry for entry in namespaces.ROOT.iterdir() if entry.name.startswith(f"{name}-")]

    up(name)

    assert state.load(name).database_passwords == passwords


def test_a_site_runs_commands_cuts_and_kills(name: str) -> None:
    up(name)
    site = LocalSite(name)

    assert site.exec("internet", ["ip", "-brief", "address"]).stdout.count("203.0.113.2") == 1
    with pytest.raises(NotFound, match="no node or guest nowhere; there are internet, control, edge"):
        site.exec("nowhere", ["true"])

    def edge_reaches(node: str) -> bool:
        return site.exec("edge", ["ping", "-c1", "-W0.3", site.endpoint(node)]).returncode == 0

    site.cut("hypervisor-1")
    assert not edge_reaches("hypervisor-1")
    assert edge_reaches("hypervisor-2")
    site.heal("hypervisor-1")
    assert edge_reaches("hypervisor-1")

    for process in (site.agent("edge"), site.routing_daemon("gateway-1"), "worker", "postgres"):
        killed = site.kill(process)
        assert killed is not None
        assert site.wait_running(process, not_pid=killed) != killed

    site.power("hypervisor-2", on=False)
    assert not edge_reaches("hypervisor-2")
    assert next(p for p in site.processes() if p.name == site.agent("hypervisor-2")).state == "stopped"
    site.power("hypervisor-2", on=True)
    assert edge_reaches("hypervisor-2")


def test_guests_that_nobody_keeps_any_more_are_removed(tmp_path: Path) -> None:
    folder = tmp_path / "0123"
    folder.mkdir()
    (folder / "name").write_text("web")
    (folder / "net").touch()
    made = f"{NAME}-guest"
    namespaces.ensure(made)
    try:
        with entered(made):
            process = subprocess.Popen(["sleep", "600"])
        run(["mount", "--bind", str(namespaces.path(made)), str(folder / "net")])
    finally:
        namespaces.remove(made)
    assert guests.find(tmp_path, "web") == guests.Guest(folder)

    threading.Thread(target=process.wait).start()  # a zombie would count as running
    guests.remove_all(tmp_path)

    assert process.wait(5) != 0
    assert list(tmp_path.iterdir()) == []
