"""Stop is archive, in a whole cloud: a guest's files come back anywhere, and what leads out of them stays behind."""

from __future__ import annotations

import json
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from cloud.site import LocalSite
from tests.e2e.conftest import Godwit, Said, answers, eventually

MODES = ("routed", "nat")
LARGE_MB = 200  # what takes a moment to go


def told(said: Said) -> Any:
    assert said.code == 0, said.err
    return json.loads(said.out)


def shown(godwit: Godwit, name: str) -> Any:
    return told(godwit("instance", "show", name, "--json"))


def content(site: LocalSite, one: Any) -> Path:
    return site.paths.disks / UUID(one["port"]["id"]).hex / "content"


def flexible(one: Any) -> list[str]:
    return [str(address["host"]).partition("/")[0] for address in one["port"]["addresses"] if address["flexible_ip"]]


@pytest.fixture(params=MODES)
def guest(request: pytest.FixtureRequest, site: LocalSite, godwit: Godwit, project: str) -> Any:
    """An instance of either stack that answers, has written a file, and holds what must not leave its directory."""
    mode = request.param
    families = ("--ipv4", "--ipv6") if mode == "routed" else ("--ipv4",)
    where = ("--flavor", "small", "--mode", mode, "--hypervisor", "hypervisor-1")
    one = told(godwit("instance", "create", f"{project}-{mode}", *where, *families, "--json"))
    folder = content(site, one)
    eventually((folder / "boots").exists, "the guest has started")
    (folder / "file").write_text("precious")
    (folder / "link").symlink_to("/etc/passwd")
    (folder / "twin").write_text("under two names")
    os.link(folder / "twin", folder / "again")
    os.mkfifo(folder / "pipe")
    os.mknod(folder / "device", 0o600 | 0o020000, os.makedev(1, 3))
    for address in flexible(one):
        eventually(lambda address=address: answers(site, address), f"{address} answers")  # type: ignore[misc]
    return one


def archived(site: LocalSite, one: Any) -> list[Path]:
    return sorted(path for path in (site.paths.archives / one["id"]).rglob("*") if path.is_file())


def assert_there(site: LocalSite, godwit: Godwit, before: Any, hypervisor: str, boots: int) -> None:
    """It runs there with its addresses and files, and nothing is left in the store."""
    now = shown(godwit, before["name"])
    assert (now["state"], now["hypervisor"], now["archive"]) == ("running", hypervisor, None)
    assert flexible(now) == flexible(before)
    for address in flexible(now):
        eventually(lambda address=address: answers(site, address), f"{address} answers")  # type: ignore[misc]
    folder = content(site, now)
    eventually(lambda: (folder / "boots").read_text() == f"{boots}\n", f"the guest has started {boots} times")
    assert (folder / "file").read_text() == "precious"
    assert {path.name for path in folder.iterdir()} == {"boots", "file"}
    eventually(lambda: archived(site, now) == [], "its archive is gone")


def test_a_stopped_guest_finds_its_files_again_on_another_hypervisor(
    site: LocalSite, godwit: Godwit, guest: Any
) -> None:
    assert godwit("instance", "stop", guest["name"]).code == 0

    stopped = shown(godwit, guest["name"])
    assert (stopped["state"], stopped["hypervisor"]) == ("archived", None)
    assert not content(site, guest).parent.exists()
    for address in flexible(guest):
        assert not answers(site, address)
    (archive,) = archived(site, guest)
    assert stopped["archive"]["url"] == f"file://{archive}"
    assert stopped["archive"]["size_bytes"] == archive.stat().st_size
    with tarfile.open(archive) as tar:
        members = {member.name.removeprefix("./"): member for member in tar.getmembers()}
    assert all(member.isreg() or member.isdir() for member in members.values())
    assert set(members) == {"boots", "file"}
    assert stopped["archive"]["left_out"] == 5
    said = godwit("instance", "show", guest["name"]).out
    assert f"{archive.stat().st_size} bytes at file://{archive}" in said

    assert godwit("instance", "start", guest["name"], "--hypervisor", "hypervisor-2").code == 0

    assert_there(site, godwit, guest, "hypervisor-2", boots=2)


def test_a_cold_move_takes_files_and_addresses_along(site: LocalSite, godwit: Godwit, guest: Any) -> None:
    assert godwit("instance", "move", guest["name"], "--cold", "--to", "hypervisor-3").code == 0
    assert_there(site, godwit, guest, "hypervisor-3", boots=2)


@pytest.mark.parametrize("killed", ["worker", "agent"])
def test_what_is_killed_while_a_disk_is_on_its_way_loses_nothing(
    site: LocalSite, godwit: Godwit, guest: Any, killed: str
) -> None:
    large = os.urandom(1 << 20) * LARGE_MB
    (content(site, guest) / "large").write_bytes(large)
    options = ("--cold", "--to", "hypervisor-2", "--no-wait", "--json")
    moving = told(godwit("instance", "move", guest["name"], *options))

    def step() -> str:
        name: str = told(godwit("operation", "show", moving["id"], "--json"))["steps"][-1]["name"]
        return name

    eventually(lambda: step() == "archive", "the disk is on its way")
    site.kill("worker" if killed == "worker" else site.agent("hypervisor-1"))

    assert godwit("operation", "watch", moving["id"]).code == 0
    moved = content(site, guest) / "large"
    assert moved.read_bytes() == large
    moved.unlink()
    assert_there(site, godwit, guest, "hypervisor-2", boots=2)


@pytest.fixture
def lost_store(site: LocalSite) -> Iterator[None]:
    """The store's directory is none."""
    archives, aside = site.paths.archives, site.paths.archives.with_suffix(".aside")
    archives.mkdir(exist_ok=True)
    archives.rename(aside)
    archives.write_text("no directory")
    yield
    archives.unlink()
    aside.rename(archives)


@pytest.mark.usefixtures("lost_store")
@pytest.mark.parametrize("asked", [("stop",), ("move", "--cold", "--to", "hypervisor-2")], ids=["stop", "move"])
def test_an_upload_that_fails_leaves_a_guest_where_it_was(
    site: LocalSite, godwit: Godwit, guest: Any, asked: tuple[str, ...]
) -> None:
    verb, *options = asked
    failed = godwit("instance", verb, guest["name"], *options)
    assert failed.code != 0
    assert "agent.archive.store_unreachable" in failed.err

    now = shown(godwit, guest["name"])
    assert (now["state"], now["hypervisor"], now["archive"]) == ("running", "hypervisor-1", None)
    assert flexible(now) == flexible(guest)
    for address in flexible(now):
        eventually(lambda address=address: answers(site, address), f"{address} answers")  # type: ignore[misc]
    there = {path.name for path in content(site, now).iterdir()}
    assert there == {"boots", "file", "link", "twin", "again", "pipe", "device"}
