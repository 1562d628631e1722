"""Samples the packet counters of a hypervisor's guest links, from inside its network namespace."""

from __future__ import annotations

import time
from pathlib import Path

from cloud import rawlog
from cloud.probe.clock import Pace, Stop, say_ready


def counters(text: str, prefix: str) -> list[tuple[str, int, int]]:
    """Links whose name starts with `prefix` in the text of `/proc/net/dev`: name, packets received, packets sent."""
    found = []
    for line in text.splitlines()[2:]:
        name, _, numbers = line.partition(":")
        fields = numbers.split()
        if name.strip().startswith(prefix):
            found.append((name.strip(), int(fields[1]), int(fields[9])))
    return found


def run(prefix: str, interval_us: int, stop: Stop) -> None:
    """Sample until `stop` is due, then tell the raw log. Received is what came from the guest."""
    records: list[str] = []
    pace = Pace(interval_us * 1000)
    with Path("/proc/thread-self/net/dev").open(encoding="ascii") as table:
        say_ready()
        while True:
            table.seek(0)
            now_ns = time.monotonic_ns()
            records += [f"l {name} {rx} {tx} {now_ns}" for name, rx, tx in counters(table.read(), prefix)]
            if stop.due(now_ns):
                break
            pace.wait()
    rawlog.tell("legs", {"prefix": prefix, "interval_us": interval_us}, records)
