"""Making, pinning and entering network namespaces: what needs CAP_SYS_ADMIN, in one place."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

CLONE_NEWNET = 0x40000000
MS_BIND = 4096
MNT_DETACH = 2

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")


def create(pin: Path) -> None:
    """A new network namespace, kept by a bind mount on `pin` (a file that exists)."""

    def make() -> None:
        _check(_libc.unshare(CLONE_NEWNET), "unshare")
        bind(Path("/proc/thread-self/ns/net"), pin)

    _in_thread(make)


def bind(source: Path, pin: Path) -> None:
    _check(_libc.mount(os.fsencode(source), os.fsencode(pin), b"none", MS_BIND, None), f"mount {pin}")


def unbind(pin: Path) -> None:
    """No error when nothing is mounted there."""
    _libc.umount2(os.fsencode(pin), MNT_DETACH)


def is_namespace(path: Path) -> bool:
    """Whether a namespace is mounted on `path`."""
    try:
        return path.stat().st_dev == Path("/proc/self/ns/net").stat().st_dev
    except FileNotFoundError:
        return False


def enter(namespace: int) -> None:
    """The calling thread works in the namespace from now on."""
    _check(_libc.setns(namespace, CLONE_NEWNET), "setns")


def inside(namespace: int, work: Callable[[], T]) -> T:
    """Run `work` in a thread of its own that has entered the namespace; what it opens or spawns belongs there."""

    def entered() -> T:
        enter(namespace)
        return work()

    return _in_thread(entered)


def _in_thread(work: Callable[[], T]) -> T:
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:  # raised again in the caller's thread
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]
