"""Guests' disks in an object store, by fsspec: a local directory, S3, or whatever else it knows by a URL.

An upload goes to a name of its own, and takes its place when it is whole. What comes back is spooled and compared with
the digest that was told when it left, before a byte of it is understood. Neither a cut transfer nor another's object is
thus ever taken for a disk.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

import fsspec
from fsspec.implementations.local import LocalFileSystem
from pydantic import ValidationError

from common.errors import DomainError
from services.netagent import disks, tarball
from services.netagent.disks import Disk
from services.netagent.errors import (
    ArchiveAbsent,
    ArchiveDiffers,
    ArchiveUrl,
    DiskAbsent,
    DiskExists,
    DiskInUse,
    DiskNotSettled,
    DiskStorage,
    StoreUnreachable,
)
from services.netagent.transfers import Pulse
from services.netagent.wire import DiskArchive, DiskState

BLOCK_BYTES: Final = 1 << 20
_NAME: Final = re.compile(r"(/[A-Za-z0-9_-][A-Za-z0-9._-]*)+")  # below a root


class Archives:
    """Disks of one directory, and the stores they may go to. Blocks; one call at a time for a guest."""

    def __init__(self, directory: Path, roots: tuple[str, ...], node: str) -> None:
        """`roots`: URLs under which archives may lie. `node` sets apart what several nodes write at once."""
        self._directory = directory
        self._roots = tuple(root.rstrip("/") for root in roots)
        self._node = node

    def look(self, guest: str) -> DiskState:
        disk = Disk(self._directory, guest)
        settled = _settled(disk)
        return DiskState(exists=disk.exists, in_use=disk.in_use, archived_at=settled and settled.url)

    def archive(self, guest: str, url: str, pulse: Pulse) -> DiskArchive:
        """Put the disk's content at `url`; the disk stays. Repeated, it answers the same until a guest has run on it.

        Raises ArchiveUrl, DiskAbsent, DiskInUse, DiskStorage, StoreUnreachable.
        """
        self._check(url)
        disk = Disk(self._directory, guest)
        if not disk.exists:
            raise DiskAbsent(f"there is no disk of {guest}")
        self._check_idle(disk)
        settled = _settled(disk)
        if settled is not None and settled.url == url:
            return settled
        token = secrets.token_hex()
        with _storage(guest):
            disk.settle(token)
        with _upload(url, self._node, pulse) as sink, _storage(guest):
            left_out = tarball.pack(disk.content, sink)
        made = DiskArchive(url=url, digest=sink.digest, size_bytes=sink.size, left_out=left_out)
        with _storage(guest):
            if disk.note != token:
                raise DiskInUse(f"a guest has run on the disk of {guest} meanwhile")
            disk.settle(made.model_dump_json())
        if disk.in_use:  # one has started since we looked
            disk.unsettle()
            self._check_idle(disk)
        return made

    def restore(self, guest: str, archive: DiskArchive, pulse: Pulse) -> None:
        """Make the disk anew from what `archive` put away. Repeated, it changes nothing until a guest has run on it.

        Raises ArchiveUrl, ArchiveAbsent, ArchiveDiffers, DiskExists, DiskStorage, StoreUnreachable.
        """
        self._check(archive.url)
        disk = Disk(self._directory, guest)
        if disk.exists:
            if _source(_settled(disk)) == archive and not disk.in_use:
                return
            raise DiskExists(f"{guest} has a disk already")
        self._check_idle(disk)
        incoming = Disk(self._directory, f".{guest}.{self._node}")
        with _storage(guest):
            disks.remove(incoming.folder)
            incoming.folder.mkdir(mode=0o700, parents=True)
            try:
                with tempfile.TemporaryFile(dir=incoming.folder) as spool:
                    _download(archive, spool, pulse)
                    spool.seek(0)
                    disks.make_content(incoming.content)
                    self._unpack(_Beating(spool, pulse), incoming.content)
                incoming.settle(_copy_of(archive).model_dump_json())
                incoming.folder.chmod(0o755)
                pulse.beat()
                if disk.exists:  # by now: another node was told to make it
                    raise DiskExists(f"{guest} has a disk already")
                disks.remove(disk.folder)  # a start that was cut short may have left one without content
                incoming.folder.rename(disk.folder)
            finally:
                disks.remove(incoming.folder)

    def discard(self, guest: str, url: str | None) -> None:
        """Remove the disk, which must be what lies at `url`; None: whatever it holds. No error when it is gone.

        Raises DiskInUse, DiskNotSettled, DiskStorage.
        """
        disk = Disk(self._directory, guest)
        if not disk.exists:
            return
        self._check_idle(disk)
        settled = _settled(disk)
        if url is not None and (settled is None or settled.url != url):
            raise DiskNotSettled(f"the disk of {guest} is not what lies at {url}")
        gone = self._directory / f".{guest}.{self._node}.gone"
        with _storage(guest):
            disks.remove(gone)
            disk.folder.rename(gone)  # half a disk is never seen
            disks.remove(gone)

    def delete(self, url: str) -> None:
        """Remove an archive. No error when there is none. Raises ArchiveUrl, StoreUnreachable."""
        self._check(url)
        with contextlib.suppress(ArchiveAbsent), _store(url, ArchiveAbsent):
            files, path = fsspec.core.url_to_fs(url)
            files.rm_file(path)

    def _check(self, url: str) -> None:
        if not any(url.startswith(root) and _NAME.fullmatch(url[len(root) :]) for root in self._roots):
            raise ArchiveUrl(f"{url} is no name of an archive under {' or '.join(self._roots) or 'any store'}")

    @staticmethod
    def _check_idle(disk: Disk) -> None:
        if disk.in_use:
            raise DiskInUse(f"a guest runs on the disk of {disk.folder.name}")

    @staticmethod
    def _unpack(spool: tarball.Reader, content: Path) -> None:
        try:
            tarball.unpack(spool, content, disks.give)
        except tarball.Malformed as error:
            raise ArchiveDiffers(f"the archive is none of ours: {error}") from error


def _settled(disk: Disk) -> DiskArchive | None:
    try:
        return DiskArchive.model_validate_json(disk.note)
    except ValidationError:
        return None


def _copy_of(archive: DiskArchive) -> DiskArchive:
    """What is noted of a disk made from `archive`: a name of its own, lest a late order discard it for the first."""
    return archive.model_copy(update={"url": f"{archive.url}#{secrets.token_hex(8)}"})


def _source(settled: DiskArchive | None) -> DiskArchive | None:
    """What a disk holds the same as, whether it went there or came from there."""
    return settled and settled.model_copy(update={"url": settled.url.partition("#")[0]})


@dataclass(frozen=True)
class _Beating:
    """A file whose reading is a sign of life."""

    file: IO[bytes]
    pulse: Pulse

    def read(self, size: int) -> bytes:
        self.pulse.beat()
        return self.file.read(size)


# --- stores ----------------------------------------------------------------------------------------------------------


class _Sink:
    """An upload: what is written is hashed and counted on its way."""

    def __init__(self, url: str, file: IO[bytes], pulse: Pulse) -> None:
        self._url = url
        self._file = file
        self._pulse = pulse
        self._digest = hashlib.sha256()
        self.size = 0

    def write(self, block: bytes) -> int:
        self._pulse.beat()
        with _store(self._url):
            self._file.write(block)
        self._digest.update(block)
        self.size += len(block)
        return len(block)

    @property
    def digest(self) -> str:
        return self._digest.hexdigest()


@contextlib.contextmanager
def _upload(url: str, node: str, pulse: Pulse) -> Iterator[_Sink]:
    """What the block writes lies at `url` when it has ended well, and nowhere otherwise."""
    with _store(url):
        files, path = fsspec.core.url_to_fs(url)
        partial = f"{path}.{node}.partial"
        files.makedirs(path.rpartition("/")[0], exist_ok=True)
        file = files.open(partial, "wb")
    sink = _Sink(url, file, pulse)
    try:
        yield sink
        with _store(url):
            file.close()
            pulse.beat()
            files.mv(partial, path)
            _sync(files, path)
            files.invalidate_cache()
            stored = files.size(path)
        if stored != sink.size:
            raise StoreUnreachable(f"{url} holds {stored} bytes of {sink.size}")
    except BaseException:
        for undo in (file.close, lambda: files.rm_file(partial)):
            with contextlib.suppress(Exception):  # what went wrong is raised; the next upload overwrites what is left
                undo()
        raise


def _sync(files: Any, path: str) -> None:
    """A disk is discarded on the word that its archive is there: a power cut must not make it untrue."""
    if isinstance(files, LocalFileSystem):
        for each in (path, path.rpartition("/")[0]):
            descriptor = os.open(each, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def _download(archive: DiskArchive, spool: IO[bytes], pulse: Pulse) -> None:
    """Raises ArchiveAbsent, ArchiveDiffers, StoreUnreachable, and OSError of the spool."""
    digest, size = hashlib.sha256(), 0
    with _store(archive.url, ArchiveAbsent):
        files, path = fsspec.core.url_to_fs(archive.url)
        file = files.open(path, "rb")
    with contextlib.closing(file):
        while size <= archive.size_bytes:
            pulse.beat()
            with _store(archive.url):
                block = file.read(BLOCK_BYTES)
            if not block:
                break
            digest.update(block)
            size += len(block)
            spool.write(block)
    if (size, digest.hexdigest()) != (archive.size_bytes, archive.digest):
        raise ArchiveDiffers(f"what lies at {archive.url} is not what was put there")


@contextlib.contextmanager
def _store(url: str, absent: type[DomainError] = StoreUnreachable) -> Iterator[None]:
    """Trouble with a store, as StoreUnreachable; what is not there, as `absent`."""
    try:
        yield
    except FileNotFoundError as error:
        raise absent(f"there is nothing at {url}") from error
    except Exception as error:  # each store has its own
        raise StoreUnreachable(f"{url}: {error or type(error).__name__}") from error


@contextlib.contextmanager
def _storage(guest: str) -> Iterator[None]:
    """Trouble with the disks' own storage."""
    try:
        yield
    except OSError as error:
        raise DiskStorage(f"the disk of {guest}: {error}") from error
