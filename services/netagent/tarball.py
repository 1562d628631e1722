"""A directory as a tar stream and back: regular files and directories, and nothing else in either direction.

What is packed belongs to a guest, who may have put anything there. Links (hard ones too: they may lead outside),
devices, sockets and other file systems stay behind. What is unpacked must be what `pack` writes, or it is refused.
Modes lose set-uid, set-gid and sticky bits, owners are not kept. Memory does not grow with the directory.
"""

from __future__ import annotations

import os
import shutil
import stat
import tarfile
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

BLOCK_BYTES: Final = 1 << 20
PATH_BYTES: Final = 2048  # of a name in the archive; what lies deeper stays behind
DEPTH: Final = 64
MODE: Final = 0o777
LATEST_MTIME: Final = 1 << 33


class Malformed(Exception):
    """The stream is nothing that `pack` wrote."""


class Writer(Protocol):
    def write(self, block: bytes, /) -> int: ...


class Reader(Protocol):
    def read(self, size: int, /) -> bytes: ...


@dataclass
class _Level:
    descriptor: int
    path: str  # in the archive, with a slash at its end, or empty
    entries: Iterator[os.DirEntry[str]]


def pack(root: Path, out: Writer) -> int:
    """Write what `root` holds; returns how much stays behind. Nothing is followed, even if it changes meanwhile.

    Raises OSError, also when a file becomes shorter.
    """
    left_out = 0
    stream: Any = out  # a stream asks no more of a file
    levels = [_level(os.open(root, _DIRECTORY), "")]
    device = os.fstat(levels[0].descriptor).st_dev
    try:
        with tarfile.open(fileobj=stream, mode="w|", format=tarfile.PAX_FORMAT, bufsize=BLOCK_BYTES) as tar:
            while levels:
                level = levels[-1]
                entry = next(level.entries, None)
                if entry is None:
                    os.close(levels.pop().descriptor)
                    continue
                opened = _open(level, entry, device, deeper=len(levels) < DEPTH)
                if opened is None:
                    left_out += 1
                    continue
                if stat.S_ISDIR(os.fstat(opened).st_mode):
                    levels.append(_level(opened, f"{level.path}{entry.name}/"))
                    tar.addfile(_info(level, entry, opened))
                else:
                    with closing(os.fdopen(opened, "rb", buffering=0)) as file:
                        tar.addfile(_info(level, entry, opened), file)
                _forget(tar)
    finally:
        for level in levels:
            os.close(level.descriptor)
    return left_out


_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


def _level(descriptor: int, path: str) -> _Level:
    return _Level(descriptor, path, os.scandir(descriptor))


def _open(level: _Level, entry: os.DirEntry[str], device: int, *, deeper: bool) -> int | None:
    """A descriptor of what may be packed; None for what stays behind."""
    if len(os.fsencode(level.path + entry.name)) > PATH_BYTES:
        return None
    if entry.is_dir(follow_symlinks=False) and deeper:
        opened = os.open(entry.name, _DIRECTORY, dir_fd=level.descriptor)
    elif entry.is_file(follow_symlinks=False):
        opened = os.open(entry.name, _FILE, dir_fd=level.descriptor)
    else:
        return None
    seen = os.fstat(opened)
    single = stat.S_ISDIR(seen.st_mode) or (stat.S_ISREG(seen.st_mode) and seen.st_nlink == 1)
    if single and seen.st_dev == device:
        return opened
    os.close(opened)
    return None


def _info(level: _Level, entry: os.DirEntry[str], opened: int) -> tarfile.TarInfo:
    seen = os.fstat(opened)
    info = tarfile.TarInfo(level.path + entry.name)
    info.type = tarfile.DIRTYPE if stat.S_ISDIR(seen.st_mode) else tarfile.REGTYPE
    info.size = 0 if info.isdir() else seen.st_size
    info.mode = seen.st_mode & MODE
    info.mtime = min(max(int(seen.st_mtime), 0), LATEST_MTIME)
    return info


def unpack(source: Reader, target: Path, give: Callable[[Path], None]) -> None:
    """Write into `target`, an empty directory that nobody else may enter; `give` hands each file over.

    Raises Malformed, OSError; what was written by then stays.
    """
    stream: Any = source
    try:
        with tarfile.open(fileobj=stream, mode="r|", bufsize=BLOCK_BYTES) as tar:
            while (member := tar.next()) is not None:
                _take(tar, member, target, give)
                _forget(tar)
    except (tarfile.TarError, ValueError, FileExistsError, FileNotFoundError, NotADirectoryError) as error:
        raise Malformed(str(error)) from error


def _forget(tar: Any) -> None:
    """It remembers every member otherwise."""
    tar.members.clear()


def _take(tar: tarfile.TarFile, member: tarfile.TarInfo, target: Path, give: Callable[[Path], None]) -> None:
    parts = member.name.split("/")
    if len(os.fsencode(member.name)) > PATH_BYTES or not {"", ".", ".."}.isdisjoint(parts) or "\0" in member.name:
        raise Malformed(f"{member.name!r} is no name below a directory")
    path = target.joinpath(*parts)
    if member.type == tarfile.DIRTYPE:
        path.mkdir()
        mode = member.mode & MODE | stat.S_IRWXU
    elif member.type == tarfile.REGTYPE and member.sparse is None and (content := tar.extractfile(member)):
        with path.open("xb") as file:
            shutil.copyfileobj(content, file, BLOCK_BYTES)
        mode = member.mode & MODE
    else:
        raise Malformed(f"{member.name!r} is neither file nor directory")
    path.chmod(mode)
    os.utime(path, (member.mtime, member.mtime))
    give(path)
