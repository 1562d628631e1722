"""Network namespaces as `ip netns` sees them: making, entering, finding who is in one."""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from common.errors import DomainError

ROOT = Path("/run/netns")
CLONE_NEWNET = 0x40000000

_libc = ctypes.CDLL(None, use_errno=True)


class CommandFailed(DomainError):
    """A command of the host refused."""

    code = "cloud.command_failed"


def run(argv: Sequence[str], text: str | None = None) -> str:
    """Run to the end and return its standard output. Raises CommandFailed with its first complaint."""
    try:
        done = subprocess.run(argv, input=text, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise CommandFailed(f"{argv[0]} is not installed; install it with: sh deploy/host/install.sh") from error
    if done.returncode:
        complaint = (done.stderr.strip() or done.stdout.strip() or f"exit code {done.returncode}").splitlines()[0]
        raise CommandFailed(f"{' '.join(argv)}: {complaint}")
    return done.stdout


def path(namespace: str) -> Path:
    return ROOT / namespace


def exists(namespace: str) -> bool:
    """Whether it is there and whole: `ip netns add` killed half-way leaves a plain file."""
    return os.path.ismount(path(namespace))


def ensure(namespace: str) -> bool:
    """Make it unless it exists. Returns whether it was made."""
    if exists(namespace):
        return False
    path(namespace).unlink(missing_ok=True)
    run(["ip", "netns", "add", namespace])
    return True


def remove(namespace: str) -> None:
    """Removing what does not exist is no error. Its links and programs go when the last process has left."""
    if exists(namespace):
        run(["ip", "netns", "delete", namespace])
    path(namespace).unlink(missing_ok=True)


def pids(namespace: str) -> list[int]:
    """Processes living in it."""
    return pids_in(path(namespace)) if exists(namespace) else []


def pids_in(namespace: Path) -> list[int]:
    """Processes living in the namespace that is mounted on a file."""
    wanted = namespace.stat()
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            seen = (entry / "ns" / "net").stat()
        except OSError:  # it ended meanwhile
            continue
        if (seen.st_dev, seen.st_ino) == (wanted.st_dev, wanted.st_ino):
            found.append(int(entry.name))
    return found


def _setns(fd: int) -> None:
    if _libc.setns(fd, CLONE_NEWNET):
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


@contextmanager
def entered(namespace: str | Path) -> Iterator[None]:
    """The calling thread, and the processes it starts, are in `namespace`: a name, or the file it is mounted on."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        file = namespace if isinstance(namespace, Path) else path(namespace)
        there = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
        try:
            _setns(there)
        finally:
            os.close(there)
        try:
            yield
        finally:
            _setns(home)
    finally:
        os.close(home)
