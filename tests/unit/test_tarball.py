"""A guest may put anything into its disk, and a store may hold anything: neither leads out of a directory."""

from __future__ import annotations

import contextlib
import io
import os
import socket
import stat
import tarfile
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from services.netagent import disks, tarball

SECRET = b"of another tenant"


def packed(root: Path) -> tuple[bytes, int]:
    out = io.BytesIO()
    left_out = tarball.pack(root, out)
    return out.getvalue(), left_out


def unpacked(raw: bytes, target: Path) -> Path:
    target.mkdir()
    tarball.unpack(io.BytesIO(raw), target, lambda _: None)
    return target


def contents(root: Path) -> dict[str, bytes | None]:
    """By path; None for directories."""
    return {str(p.relative_to(root)): p.read_bytes() if p.is_file() else None for p in root.rglob("*")}


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    root = tmp_path / "content"
    (root / "var" / "empty").mkdir(parents=True)
    (root / "boots").write_bytes(b"3\n")
    (root / "var" / "data").write_bytes(os.urandom(100_000))
    (tmp_path / "secret").write_bytes(SECRET)
    yield root
    disks.remove(root)  # it may be deeper than pytest can clear
    assert not root.exists()


def test_files_and_directories_come_back_as_they_were(disk: Path, tmp_path: Path) -> None:
    strange = [b"caf\xc3\xa9", b"not \xff utf-8", b"line\nbreak", b"back\\slash", b"x" * 255, b"-rf", b" "]
    for name in strange:
        Path(os.fsdecode(os.fsencode(disk / "var") + b"/" + name)).write_bytes(name)
    (disk / "boots").chmod(0o640)
    os.utime(disk / "boots", (1_000_000_000, 1_000_000_000))

    raw, left_out = packed(disk)
    back = unpacked(raw, tmp_path / "back")

    assert left_out == 0
    assert contents(back) == contents(disk)
    seen = (back / "boots").stat()
    assert (stat.S_IMODE(seen.st_mode), seen.st_mtime) == (0o640, 1_000_000_000)


# --- on the way out --------------------------------------------------------------------------------------------------


def _socket(path: Path) -> None:
    home = Path.cwd()
    os.chdir(path.parent)  # a socket's path is short
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(path.name)
    finally:
        os.chdir(home)


LURES: dict[str, Callable[[Path], None]] = {
    "symbolic link to a file": lambda path: path.symlink_to("../secret"),
    "symbolic link by an absolute path": lambda path: path.symlink_to(path.parent.parent / "secret"),
    "symbolic link to a directory": lambda path: path.symlink_to(".."),
    "symbolic link to nothing": lambda path: path.symlink_to("nowhere"),
    "hard link": lambda path: path.hardlink_to(path.parent.parent / "secret"),
    "fifo": os.mkfifo,
    "socket": _socket,
    "device": lambda path: os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 5)),
}


@pytest.mark.parametrize("lure", LURES)
def test_what_could_lead_out_stays_behind(disk: Path, tmp_path: Path, lure: str) -> None:
    if lure == "device" and os.geteuid() != 0:
        pytest.skip("needs root: makes a device")
    whole = contents(disk)
    LURES[lure](disk / "lure")

    raw, left_out = packed(disk)

    assert left_out == 1
    assert SECRET not in raw
    assert contents(unpacked(raw, tmp_path / "back")) == whole


@pytest.mark.parametrize("lure", ["symbolic link to a directory", "symbolic link to a file"])
def test_what_becomes_a_link_between_two_looks_is_not_followed(
    disk: Path, lure: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (disk / "lure").mkdir() if "directory" in lure else (disk / "lure").write_bytes(b"harmless")
    opening = os.open

    def swap_then_open(path: str | Path, flags: int, **more: int) -> int:
        if path == "lure":
            (disk / "lure").rmdir() if "directory" in lure else (disk / "lure").unlink()
            LURES[lure](disk / "lure")
        return opening(path, flags, **more)

    monkeypatch.setattr(os, "open", swap_then_open)
    out = io.BytesIO()
    with pytest.raises(OSError, match=r"Too many levels|Not a directory"):
        tarball.pack(disk, out)
    assert SECRET not in out.getvalue()


def test_privileges_stay_behind(disk: Path, tmp_path: Path) -> None:
    (disk / "boots").chmod(0o6755)
    (disk / "var").chmod(0o3777)

    raw, _ = packed(disk)
    back = unpacked(raw, tmp_path / "back")

    with tarfile.open(fileobj=io.BytesIO(raw)) as tar:
        assert {member.mode & ~0o777 for member in tar} == {0}
        tar_owners = {(member.uid, member.gid, member.uname) for member in tar}
    assert tar_owners == {(0, 0, "")}
    assert {stat.S_IMODE(path.stat().st_mode) & ~0o777 for path in back.rglob("*")} == {0}


def test_a_directory_too_deep_to_come_back_stays_behind(disk: Path, tmp_path: Path) -> None:
    whole = contents(disk)
    inner = os.open(disk, os.O_RDONLY)
    for _ in range(1500):  # deeper than a recursion goes, longer than a path may be
        os.mkdir("d" * 10, dir_fd=inner)
        deeper = os.open("d" * 10, os.O_RDONLY, dir_fd=inner)
        os.close(inner)
        inner = deeper
    os.close(inner)

    raw, left_out = packed(disk)

    assert left_out == 1
    assert contents(unpacked(raw, tmp_path / "back")).keys() > whole.keys()


def peak_bytes(directory: Path, files: int, largest: int) -> int:
    """The most that is allocated while a disk is packed and unpacked."""
    (directory / "content").mkdir(parents=True)
    for number in range(files):
        (directory / "content" / f"file-{number}").touch()
    with (directory / "content" / "large").open("wb") as file:
        file.truncate(largest)

    tracemalloc.start()
    with (directory / "archive").open("wb") as out:
        tarball.pack(directory / "content", out)
    (directory / "back").mkdir()
    with (directory / "archive").open("rb") as stream:
        tarball.unpack(stream, directory / "back", lambda _: None)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert sum(1 for _ in (directory / "back").iterdir()) == files + 1
    return peak


@pytest.mark.parametrize(("small", "large"), [((3_000, 0), (9_000, 0)), ((0, 20 << 20), (0, 200 << 20))])
def test_memory_does_not_grow_with_the_disk(tmp_path: Path, small: tuple[int, int], large: tuple[int, int]) -> None:
    at_least = peak_bytes(tmp_path / "small", *small)
    assert peak_bytes(tmp_path / "large", *large) < at_least + (1 << 20)


# --- on the way in ---------------------------------------------------------------------------------------------------


def member(name: str, type_: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = type_, link
    return info


def archive(*members: tarfile.TarInfo, body: bytes = b"") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT) as tar:
        for info in members:
            info.size = len(body) if info.type == tarfile.REGTYPE else 0
            tar.addfile(info, io.BytesIO(body))
    return out.getvalue()


FORGED = {
    "absolute": [member("/etc/passwd")],
    "above": [member("../stolen")],
    "above, by a detour": [member("var", tarfile.DIRTYPE), member("var/../../stolen")],
    "here": [member("./boots")],
    "above, as a directory": [member("..", tarfile.DIRTYPE)],
    "twice a slash": [member("var", tarfile.DIRTYPE), member("var//data")],
    "symbolic link": [member("lure", tarfile.SYMTYPE, "/etc")],
    "through a symbolic link": [member("lure", tarfile.SYMTYPE, ".."), member("lure/stolen")],
    "hard link": [member("lure", tarfile.LNKTYPE, "/etc/passwd")],
    "device": [member("null", tarfile.CHRTYPE)],
    "block device": [member("sda", tarfile.BLKTYPE)],
    "fifo": [member("pipe", tarfile.FIFOTYPE)],
    "contiguous": [member("cont", tarfile.CONTTYPE)],
    "unknown": [member("what", b"Z")],
    "twice the same": [member("boots"), member("boots")],
    "a directory in a file's place": [member("boots"), member("boots", tarfile.DIRTYPE)],
    "below a file": [member("boots"), member("boots/x")],
    "below nothing": [member("var/data")],
    "too long": [member("/".join(["d" * 100] * 30))],
}


@pytest.mark.parametrize("forgery", FORGED)
def test_what_we_never_write_is_refused(tmp_path: Path, forgery: str) -> None:
    before = set(tmp_path.rglob("*"))

    with pytest.raises(tarball.Malformed):
        unpacked(archive(*FORGED[forgery]), tmp_path / "back")

    assert {path for path in set(tmp_path.rglob("*")) - before if not path.is_relative_to(tmp_path / "back")} == set()


def test_an_old_sparse_file_is_refused(tmp_path: Path) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        info = member("sparse")
        info.pax_headers = {"GNU.sparse.major": "0", "GNU.sparse.map": "0,1", "GNU.sparse.size": str(1 << 50)}
        tar.addfile(info)
    with pytest.raises(tarball.Malformed):
        unpacked(out.getvalue(), tmp_path / "back")


@given(cut=st.integers(0, 3_000), flip=st.integers(0, 3_000))
def test_whatever_bytes_come_nothing_is_written_elsewhere(
    tmp_path_factory: pytest.TempPathFactory, cut: int, flip: int
) -> None:
    directory = tmp_path_factory.mktemp("forged")
    raw = bytearray(archive(member("var", tarfile.DIRTYPE), member("var/data"), member("boots"), body=b"12345"))
    raw[flip] ^= 0xFF
    with contextlib.suppress(tarball.Malformed, OSError):
        unpacked(bytes(raw[:cut]) if flip % 2 else bytes(raw), directory / "back")
    assert [path for path in directory.rglob("*") if not path.is_relative_to(directory / "back")] == []
    assert not any(path.is_symlink() for path in directory.rglob("*"))
