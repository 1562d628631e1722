"""Processes a crashed supervisor left behind: noted by number and start time, so that nobody else's is ever ended."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterable
from pathlib import Path

PATIENCE_S = 5.0


def started(pid: int) -> str | None:
    """When the process started, in clock ticks since boot: with its number it names it for good. None: no such."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in {"Z", "X"} else fields[19]


def note(directory: Path, name: str, pid: int) -> None:
    (directory / f"{name}.pid").write_text(f"{pid} {started(pid)}\n")


def forget(directory: Path, name: str) -> None:
    (directory / f"{name}.pid").unlink(missing_ok=True)


def noted(directory: Path) -> list[int]:
    """Those noted that still run."""
    alive = []
    for file in directory.glob("*.pid") if directory.is_dir() else ():
        pid, _, since = file.read_text().strip().partition(" ")
        if pid.isdigit() and started(int(pid)) == since:
            alive.append(int(pid))
    return alive


def end(pids: Iterable[int], first: signal.Signals = signal.SIGTERM) -> None:
    """End these processes, politely, then by SIGKILL; returns when they are gone."""
    waiting = {pid: since for pid in pids if pid != os.getpid() and (since := started(pid))}
    for number in (first, signal.SIGKILL):
        for pid in waiting:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        ends = time.monotonic() + PATIENCE_S
        while waiting and time.monotonic() < ends:
            waiting = {pid: since for pid, since in waiting.items() if started(pid) == since}
            time.sleep(0.01 if waiting else 0)


def end_all(directory: Path) -> None:
    end(noted(directory))
    for file in directory.glob("*.pid"):
        file.unlink(missing_ok=True)
