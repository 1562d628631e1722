"""The file of a backup: a tar of a manifest and one dump a service. Damaged or foreign, it is refused whole."""

from __future__ import annotations

import hashlib
import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pydantic import BaseModel, Field, ValidationError

from common.errors import Conflict, Invalid

FORMAT = 1
MANIFEST = "manifest.json"


class BackupExists(Conflict):
    """There is a file of that name; a backup replaces none."""

    code = "backup.exists"


class BackupUnreadable(Invalid):
    """The file cannot be read, or the folder not be written to."""

    code = "backup.unreadable"


class BackupDamaged(Invalid):
    """The file is cut, altered, or no backup."""

    code = "backup.damaged"


class BackupVersion(Invalid):
    """The backup was made by a version that this one cannot read."""

    code = "backup.version"


class Dump(BaseModel):
    """One service's database. `head`: its newest Alembic revision; `schema_name`: where its tables are."""

    file: str = Field(pattern=r"^[a-z]+\.dump$")
    sha256: str
    size_bytes: int
    head: str
    schema_name: str


class Manifest(BaseModel):
    """What a backup is of. `epoch` is the controller's incarnation; `postgres` the server's version."""

    format: int
    godwit: str
    made_at: datetime
    epoch: int
    postgres: str
    databases: dict[str, Dump]


@dataclass(frozen=True, slots=True)
class Opened:
    """A backup that was checked, with its dumps as files by service."""

    manifest: Manifest
    dumps: Mapping[str, Path]


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def target(path: Path, at: datetime) -> Path:
    """The file to make: `path`, or one named after the time in that folder. Raises BackupExists, BackupUnreadable."""
    found = path / f"godwit-{at:%Y%m%dT%H%M%SZ}.tar" if path.is_dir() else path
    if found.exists():
        raise BackupExists(f"{found} is there already; choose another name")
    if not os.access(found.parent, os.W_OK):
        raise BackupUnreadable(f"{found.parent} cannot be written to")
    return found


def write(path: Path, manifest: Manifest, folder: Path) -> None:
    """Whole or not at all, for its owner alone: it holds what every project has. Raises BackupExists."""
    (folder / MANIFEST).write_text(manifest.model_dump_json(indent=1))
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    fresh = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            with tarfile.open(fileobj=file, mode="w") as tar:
                for part in (MANIFEST, *(dump.file for dump in manifest.databases.values())):
                    tar.add(folder / part, part)
            file.flush()
            os.fsync(file.fileno())
        os.link(fresh, path)
    except FileExistsError:
        raise BackupExists(f"{path} is there already; choose another name") from None
    finally:
        fresh.unlink()


@contextmanager
def opened(path: Path, known: Mapping[str, frozenset[str]]) -> Iterator[Opened]:
    """The backup at `path`, checked to its last byte. `known`: each service's Alembic revisions that we can go on from.

    Raises BackupUnreadable, BackupDamaged, BackupVersion.
    """
    with tempfile.TemporaryDirectory(prefix="godwit-restore-") as folder:
        try:
            with tarfile.open(path) as tar:
                _unpack(tar, Path(folder))
            manifest = Manifest.model_validate_json((Path(folder) / MANIFEST).read_bytes())
        except (tarfile.TarError, EOFError, ValidationError) as error:
            raise BackupDamaged(f"{path} is no backup, or cut: {str(error).splitlines()[0]}") from error
        except OSError as error:
            if error.filename == str(Path(folder) / MANIFEST):
                raise BackupDamaged(f"{path} is no backup: it has no {MANIFEST}") from error
            raise BackupUnreadable(f"{path}: {error.strerror or error}") from error
        dumps = {service: Path(folder) / dump.file for service, dump in manifest.databases.items()}
        _check(path, manifest, dumps, known)
        yield Opened(manifest, dumps)


def _unpack(tar: tarfile.TarFile, folder: Path) -> None:
    """Plain files beside each other, and nothing else that a tar may hold. Python 3.11.2 has no filter for it.

    Raises TarError.
    """
    for member in tar:
        content = tar.extractfile(member) if member.isreg() else None
        if content is None or Path(member.name).name != member.name:
            raise tarfile.ReadError(f"{member.name} is no part of a backup")
        with content, (folder / member.name).open("wb") as file:
            shutil.copyfileobj(content, file)


def _check(path: Path, manifest: Manifest, dumps: Mapping[str, Path], known: Mapping[str, frozenset[str]]) -> None:
    if manifest.format != FORMAT:
        raise BackupVersion(f"{path} has format {manifest.format}; this version reads {FORMAT}")
    if missing := known.keys() - manifest.databases.keys():
        raise BackupDamaged(f"{path} holds no database of {', '.join(sorted(missing))}")
    for service, dump in manifest.databases.items():
        if not dumps[service].is_file() or digest(dumps[service]) != dump.sha256:
            raise BackupDamaged(f"{path}: what it holds of {service} is not what was written")
        if dump.head not in known[service]:
            raise BackupVersion(
                f"{path} was made by version {manifest.godwit}, with revision {dump.head} of {service}, which this one"
                " does not know: restore it with that version or a later one"
            )
