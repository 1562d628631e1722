"""Keeping time: scheduling priority, an absolute pace, and an end that is asked for or due."""

from __future__ import annotations

import ctypes
import gc
import os
import select
import signal
import sys
import time
from types import FrameType

MCL_CURRENT_AND_FUTURE = 3
PRIORITY = 50


def be_punctual() -> str:
    """Take a real-time priority, keep memory resident, stop the garbage collector; answer the policy that was got."""
    gc.disable()
    ctypes.CDLL(None).mlockall(MCL_CURRENT_AND_FUTURE)  # refused without the right to: only a page fault may cost time
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(PRIORITY))
        return "fifo"
    except PermissionError:
        pass
    try:
        os.setpriority(os.PRIO_PROCESS, 0, -20)  # where a container's share of real time is none
    except PermissionError:
        return "other"
    return "nice"


def be_ordinary() -> None:
    """Give the real-time priority back: what a long log costs may delay nobody's keepalives."""
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


class Stop:
    """Set by SIGTERM or SIGINT, by the end of standard input when asked to watch it, or by a deadline in seconds.

    What else comes on a watched standard input is kept for `heard`.
    """

    def __init__(self, seconds: float | None, watch_stdin: bool) -> None:
        self._heard = b""
        self._deadline_ns = None if seconds is None else time.monotonic_ns() + int(seconds * 1e9)
        self._asked = False
        self._stdin = select.poll() if watch_stdin else None
        if self._stdin is not None:
            self._stdin.register(sys.stdin, select.POLLIN | select.POLLHUP)
        signal.signal(signal.SIGTERM, self._ask)
        signal.signal(signal.SIGINT, self._ask)

    def _ask(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002  the signature of a signal handler
        self._asked = True

    def due(self, now_ns: int) -> bool:
        if self._stdin is not None and self._stdin.poll(0):
            data = os.read(sys.stdin.fileno(), 65536)
            self._heard += data
            self._asked = self._asked or not data
        return self._asked or (self._deadline_ns is not None and now_ns >= self._deadline_ns)

    def heard(self) -> list[str]:
        """Whole lines that have come since last asked."""
        if not self._heard:
            return []
        *lines, self._heard = self._heard.split(b"\n")
        return [line.decode() for line in lines]


class Pace:
    """Ticks at absolute times: one that comes late does not delay those after it, they follow at once."""

    def __init__(self, interval_ns: int) -> None:
        self._interval_ns = interval_ns
        self._next_ns = time.monotonic_ns()

    def wait(self) -> None:
        self._next_ns += self._interval_ns
        remaining_ns = self._next_ns - time.monotonic_ns()
        if remaining_ns > 0:
            time.sleep(remaining_ns / 1e9)


def real_minus_monotonic_ns() -> int:
    """What takes the kernel's receive times (CLOCK_REALTIME) to CLOCK_MONOTONIC; best of nine readings."""
    readings = []
    for _ in range(9):
        before = time.monotonic_ns()
        real = time.time_ns()
        after = time.monotonic_ns()
        readings.append((after - before, real - (before + after) // 2))
    return min(readings)[1]


def say_ready() -> None:
    """Tell whoever started this process that it is at work."""
    print("ready", flush=True)
