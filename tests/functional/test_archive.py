"""Disks go to an object store and come back whole, or stay where they are."""

from __future__ import annotations

import asyncio
import hashlib
import io
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from services.netagent import disks
from services.netagent.archive import Archives
from services.netagent.disks import Disk
from services.netagent.errors import (
    ArchiveAbsent,
    ArchiveDiffers,
    ArchiveUrl,
    DiskAbsent,
    DiskBusy,
    DiskExists,
    DiskInUse,
    DiskNotSettled,
    DiskStorage,
    StoreUnreachable,
)
from services.netagent.transfers import Pulse, Transfers
from services.netagent.wire import DiskArchive, DiskState

GUEST = "0123456789abcdef0123456789abcdef"


class Flaky(MemoryFileSystem):  # type: ignore[misc]
    """A store whose uploads end after some bytes, as a lost connection's do."""

    protocol = "flaky"
    store: dict[str, Any] = {}  # noqa: RUF012  of the class, as fsspec's own
    pseudo_dirs = [""]  # noqa: RUF012
    fails_after: int | None = None

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return "/" + path.removeprefix("flaky://").strip("/")

    def _open(self, path: str, mode: str = "rb", **more: Any) -> Any:
        file = super()._open(path, mode, **more)
        if mode == "wb" and self.fails_after is not None:
            left, write = self.fails_after, file.write

            def cut(block: bytes) -> int:
                nonlocal left
                written: int = write(block[:left])
                left -= written
                if written < len(block):
                    raise ConnectionResetError("the store went away")
                return written

            file.write = cut
        return file


fsspec.register_implementation("flaky", Flaky, clobber=True)


@pytest.fixture(autouse=True)
def stores() -> Iterator[None]:
    yield
    Flaky.store.clear()
    Flaky.fails_after = None
    MemoryFileSystem.store.clear()


@pytest.fixture(params=["file", "memory", "flaky"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"file://{tmp_path}/store" if request.param == "file" else f"{request.param}://store"


def node(directory: Path, root: str, name: str = "hv-1") -> Archives:
    return Archives(directory / "disks", (root,), name)


def written(directory: Path, text: str = "precious") -> Disk:
    """A disk on which a guest has run, and has ended."""
    disk = Disk(directory / "disks", GUEST)
    disk.begin()
    (disk.content / "file").write_text(text)
    disk.end()
    return disk


def stored(root: str) -> list[str]:
    files, path = fsspec.core.url_to_fs(root)
    return sorted(files.find(path)) if files.exists(path) else []


def test_a_stopped_guests_disk_goes_away_and_comes_back_elsewhere(tmp_path: Path, root: str) -> None:
    disk, url = written(tmp_path), f"{root}/web-1/7.tar"
    here, there = node(tmp_path, root), node(tmp_path / "elsewhere", root, "hv-2")

    archive = here.archive(GUEST, url, Pulse())
    here.discard(GUEST, url)

    assert not disk.folder.exists()
    assert [name.endswith("web-1/7.tar") for name in stored(root)] == [True]
    back = Disk(tmp_path / "elsewhere" / "disks", GUEST)
    there.restore(GUEST, archive, Pulse())
    assert (back.content / "file").read_text() == "precious"
    assert [path.name for path in back.folder.parent.iterdir()] == [GUEST]
    here.delete(url)
    here.delete(url)
    assert stored(root) == []


def test_all_may_be_repeated_until_a_guest_starts(tmp_path: Path, root: str) -> None:
    disk, url = written(tmp_path), f"{root}/web-1/7.tar"
    here = node(tmp_path, root)
    archive = here.archive(GUEST, url, Pulse())
    (disk.content / "file").write_text("by an operator's hand")  # seen if it were packed again
    assert here.archive(GUEST, url, Pulse()) == archive
    for _ in range(2):
        here.discard(GUEST, url)
    for _ in range(2):
        here.restore(GUEST, archive, Pulse())
    assert (disk.content / "file").read_text() == "precious"

    disk.begin()
    for late in (
        lambda: here.archive(GUEST, url, Pulse()),
        lambda: here.discard(GUEST, url),
    ):
        with pytest.raises(DiskInUse):
            late()
    with pytest.raises(DiskExists):
        here.restore(GUEST, archive, Pulse())
    (disk.content / "file").write_text("written since")
    disk.end()

    with pytest.raises(DiskExists):
        here.restore(GUEST, archive, Pulse())
    with pytest.raises(DiskNotSettled):
        here.discard(GUEST, url)
    assert (disk.content / "file").read_text() == "written since"
    assert here.archive(GUEST, f"{root}/web-1/9.tar", Pulse()).digest != archive.digest


def test_a_disks_state_is_what_its_guest_and_its_archive_made_it(tmp_path: Path) -> None:
    here, url = node(tmp_path, "memory://store"), "memory://store/a"
    assert here.look(GUEST) == DiskState(exists=False, in_use=False, archived_at=None)
    disk = written(tmp_path)
    here.archive(GUEST, url, Pulse())
    assert here.look(GUEST) == DiskState(exists=True, in_use=False, archived_at=url)
    disk.begin()
    assert here.look(GUEST) == DiskState(exists=True, in_use=True, archived_at=None)


def test_only_what_lies_at_that_url_is_discarded(tmp_path: Path, root: str) -> None:
    disk = written(tmp_path)
    node(tmp_path, root).archive(GUEST, f"{root}/web-1/9.tar", Pulse())
    with pytest.raises(DiskNotSettled):
        node(tmp_path, root).discard(GUEST, f"{root}/web-1/7.tar")
    assert disk.exists


def test_the_disk_of_a_deleted_instance_goes_without_an_archive_but_not_from_under_its_guest(tmp_path: Path) -> None:
    disk, here = written(tmp_path), node(tmp_path, "memory://store")
    disk.begin()
    with pytest.raises(DiskInUse):
        here.discard(GUEST, None)
    disk.end()
    here.discard(GUEST, None)
    assert not disk.folder.exists()


@pytest.mark.parametrize("fails_after", [0, 1, 5_000, 10_239])
def test_an_upload_that_is_cut_leaves_the_disk_and_nothing_in_the_store(tmp_path: Path, fails_after: int) -> None:
    disk, url = written(tmp_path), "flaky://store/web-1/7.tar"
    here = node(tmp_path, "flaky://store")
    Flaky.fails_after = fails_after

    with pytest.raises(StoreUnreachable, match="went away"):
        here.archive(GUEST, url, Pulse())

    assert stored("flaky://store") == []
    with pytest.raises(DiskNotSettled):
        here.discard(GUEST, url)
    disk.begin()
    assert (disk.content / "file").read_text() == "precious"
    disk.end()
    Flaky.fails_after = None
    assert here.archive(GUEST, url, Pulse()).size_bytes == 10_240


def test_what_an_agent_left_that_died_while_uploading_is_no_archive(tmp_path: Path, root: str) -> None:
    written(tmp_path)
    url = f"{root}/web-1/7.tar"
    with fsspec.open(f"{url}.hv-1.partial", "wb", auto_mkdir=True) as file:
        file.write(b"half")
    lost = DiskArchive(url=url, digest="0" * 64, size_bytes=10_240, left_out=0)
    with pytest.raises(ArchiveAbsent):
        node(tmp_path / "elsewhere", root).restore(GUEST, lost, Pulse())

    archive = node(tmp_path, root).archive(GUEST, url, Pulse())
    assert len(stored(root)) == 1
    node(tmp_path / "elsewhere", root).restore(GUEST, archive, Pulse())


@pytest.mark.parametrize("damage", [b"", b"short", bytes(10_240), bytes(20_480)])
def test_what_is_not_what_was_archived_is_refused(tmp_path: Path, root: str, damage: bytes) -> None:
    written(tmp_path)
    url = f"{root}/web-1/7.tar"
    archive = node(tmp_path, root).archive(GUEST, url, Pulse())
    with fsspec.open(url, "wb") as file:
        file.write(damage)
    with pytest.raises(ArchiveDiffers):
        node(tmp_path / "elsewhere", root).restore(GUEST, archive, Pulse())
    assert list((tmp_path / "elsewhere" / "disks").iterdir()) == []


def test_a_tar_that_we_did_not_make_is_refused_though_its_digest_is_right(tmp_path: Path) -> None:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        link = tarfile.TarInfo("lure")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc"
        tar.addfile(link)
    url = "memory://store/web-1/7.tar"
    with fsspec.open(url, "wb") as file:
        file.write(raw.getvalue())
    forged = DiskArchive(
        url=url, digest=hashlib.sha256(raw.getvalue()).hexdigest(), size_bytes=len(raw.getvalue()), left_out=0
    )
    with pytest.raises(ArchiveDiffers, match="none of ours"):
        node(tmp_path, "memory://store").restore(GUEST, forged, Pulse())
    assert list((tmp_path / "disks").iterdir()) == []


def test_a_late_discard_of_what_was_archived_leaves_alone_what_came_back(tmp_path: Path, root: str) -> None:
    disk, url = written(tmp_path), f"{root}/web-1/7.tar"
    here = node(tmp_path, root)
    archive = here.archive(GUEST, url, Pulse())
    here.discard(GUEST, url)
    here.restore(GUEST, archive, Pulse())
    first = here.look(GUEST).archived_at
    with pytest.raises(DiskNotSettled):
        here.discard(GUEST, url)
    here.discard(GUEST, first)
    here.restore(GUEST, archive, Pulse())
    with pytest.raises(DiskNotSettled):
        here.discard(GUEST, first)
    here.restore(GUEST, archive, Pulse())
    assert (disk.content / "file").read_text() == "precious"


def test_without_a_disk_there_is_nothing_to_archive(tmp_path: Path, root: str) -> None:
    with pytest.raises(DiskAbsent):
        node(tmp_path, root).archive(GUEST, f"{root}/web-1/7.tar", Pulse())
    node(tmp_path, root).discard(GUEST, f"{root}/web-1/7.tar")


def test_a_guest_that_ran_while_its_disk_was_read_keeps_it(tmp_path: Path) -> None:
    disk, url = written(tmp_path), "memory://store/a"
    here = node(tmp_path, "memory://store")

    class Meanwhile(Pulse):
        def beat(self) -> None:
            written(tmp_path, "written since")

    with pytest.raises(DiskInUse):
        here.archive(GUEST, url, Meanwhile())

    with pytest.raises(DiskNotSettled):
        here.discard(GUEST, url)
    assert (disk.content / "file").read_text() == "written since"


def test_a_discard_that_is_cut_leaves_no_half_of_a_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk, url = written(tmp_path), "memory://store/a"
    here = node(tmp_path, "memory://store")
    archive = here.archive(GUEST, url, Pulse())

    def cut(folder: Path) -> None:
        if folder.exists():
            raise OSError("killed")

    with monkeypatch.context() as killed:
        killed.setattr(disks, "remove", cut)
        with pytest.raises(DiskStorage):
            here.discard(GUEST, url)
    assert not disk.exists
    here.restore(GUEST, archive, Pulse())
    here.discard(GUEST, here.look(GUEST).archived_at)
    assert list(disk.folder.parent.iterdir()) == []


def test_a_restore_that_comes_late_leaves_alone_the_disk_of_a_guest_that_runs(tmp_path: Path) -> None:
    root = f"file://{tmp_path}/store"
    disk, url = written(tmp_path), f"{root}/a"
    here, there = node(tmp_path, root), node(tmp_path, root, "hv-2")
    archive = here.archive(GUEST, url, Pulse())
    here.discard(GUEST, url)

    class Overtaken(Pulse):
        def beat(self) -> None:
            if not disk.exists:
                there.restore(GUEST, archive, Pulse())
                disk.begin()
                (disk.content / "file").write_text("written since")

    with pytest.raises(DiskExists):
        here.restore(GUEST, archive, Overtaken())
    assert (disk.content / "file").read_text() == "written since"
    assert [path.name for path in disk.folder.parent.iterdir()] == [GUEST]


def test_a_restore_that_was_given_up_has_no_effect(tmp_path: Path) -> None:
    disk, url = written(tmp_path), "memory://store/a"
    here = node(tmp_path, "memory://store")
    archive = here.archive(GUEST, url, Pulse())
    here.discard(GUEST, url)
    given_up = Pulse()
    assert given_up.give_up(-1)
    with pytest.raises(StoreUnreachable):
        here.restore(GUEST, archive, given_up)
    assert list(disk.folder.parent.iterdir()) == []


def test_storage_that_fails_is_told_apart_from_the_store(tmp_path: Path) -> None:
    written(tmp_path)
    archive = node(tmp_path, "memory://store").archive(GUEST, "memory://store/a", Pulse())
    (tmp_path / "elsewhere").write_text("no directory")
    with pytest.raises(DiskStorage):
        node(tmp_path / "elsewhere", "memory://store").restore(GUEST, archive, Pulse())


@pytest.mark.parametrize(
    "url",
    [
        "memory://store",
        "memory://store/",
        "memory://other/a",
        "memory://storehouse/a",
        "memory://store/../other/a",
        "memory://store/a/../../b",
        "memory://store/./a",
        "memory://store//a",
        "memory://store/a%2e%2e",
        "memory://store/a b",
        "memory://store/a\n",
        "simplecache::memory://store/a",
        "file:///etc/passwd",
        "/etc/passwd",
        "",
    ],
)
def test_a_url_outside_of_the_stores_is_refused(tmp_path: Path, url: str) -> None:
    disk, here = written(tmp_path), node(tmp_path, "memory://store")
    archive = DiskArchive(url=url, digest="0" * 64, size_bytes=1, left_out=0)
    for act in (
        lambda: here.archive(GUEST, url, Pulse()),
        lambda: here.restore(GUEST, archive, Pulse()),
        lambda: here.delete(url),
    ):
        with pytest.raises(ArchiveUrl):
            act()
    assert disk.exists


# --- transfers -------------------------------------------------------------------------------------------------------


class Slow:
    """Work that goes on until it is let go."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.runs = 0

    def __call__(self, pulse: Pulse) -> int:
        self.runs += 1
        self.go.wait(10)
        pulse.beat()
        return self.runs


def test_a_repeated_request_joins_what_is_under_way() -> None:
    async def story() -> None:
        transfers, work = Transfers(patience_s=0.05), Slow()
        for _ in range(3):
            with pytest.raises(DiskBusy):
                await transfers.run(GUEST, "one", work)
        with pytest.raises(DiskBusy):
            await transfers.run(GUEST, "another", work)
        work.go.set()
        patient = Transfers.run(transfers, GUEST, "one", work)
        assert await patient == 1

    asyncio.run(story())


def test_a_failure_that_nobody_waited_for_is_told_to_the_next() -> None:
    async def story() -> None:
        transfers, go, runs = Transfers(patience_s=0.05), threading.Event(), []

        def fail(_: Pulse) -> None:
            runs.append(1)
            go.wait(10)
            raise StoreUnreachable("no room")

        with pytest.raises(DiskBusy):
            await transfers.run(GUEST, "one", fail)
        go.set()
        with pytest.raises(StoreUnreachable, match="no room"):
            await transfers.run(GUEST, "one", fail)
        assert len(runs) == 1

    asyncio.run(story())


def test_a_store_that_stalls_is_given_up_and_what_it_does_late_has_no_effect(tmp_path: Path) -> None:
    written(tmp_path)
    go = threading.Event()
    here = node(tmp_path, "flaky://store")
    late: list[BaseException] = []

    class Stalling(Flaky):
        def _open(self, path: str, mode: str = "rb", **more: Any) -> Any:
            go.wait(10)
            return super()._open(path, mode, **more)

    def work(pulse: Pulse) -> DiskArchive:
        try:
            return here.archive(GUEST, "flaky://store/a", pulse)
        except BaseException as error:
            late.append(error)
            raise

    async def story() -> None:
        transfers = Transfers(patience_s=0.05, stalled_s=0.02)
        with pytest.raises(StoreUnreachable, match="nothing more"):
            await transfers.run(GUEST, "one", work)
        thread = next(thread for thread in threading.enumerate() if thread.name == f"transfer-{GUEST[:8]}")
        go.set()
        await asyncio.to_thread(thread.join)

    fsspec.register_implementation("flaky", Stalling, clobber=True)
    try:
        asyncio.run(story())
    finally:
        fsspec.register_implementation("flaky", Flaky, clobber=True)
    assert isinstance(late[0], StoreUnreachable)
    assert stored("flaky://store") == []
    with pytest.raises(DiskNotSettled):
        here.discard(GUEST, "flaky://store/a")
