"""Probes, samplers and sinks at work in a site's places, and the raw logs they leave."""

from __future__ import annotations

import select
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from cloud import rawlog
from cloud.site import Site
from common.errors import DomainError

READY_WITHIN_S = 10.0
ENDS_WITHIN_S = 300.0  # what it tells may be long, and the machine busy


class ProbeBroken(DomainError):
    """A process that should watch did not start, or left no log."""

    code = "tour.probe"


class Running:
    """One `cloud.probe` process in a place; leaving the block ends it, and its raw log is whole in `log`."""

    def __init__(
        self, site: Site, place: str, *arguments: str, log: Path | None = None, until_eof: bool = True
    ) -> None:
        self._what = f"probe {arguments[0]} in {place}"
        command = [site.python, "-m", "cloud.probe", *arguments, *(["--until-eof"] if until_eof else [])]
        pipe = subprocess.PIPE
        self._process = site.spawn(place, command, stdin=pipe, stdout=pipe, stderr=pipe)
        self._log = log
        self._by_eof = until_eof

    def wait_ready(self) -> Self:
        """Raises ProbeBroken unless it says so in time."""
        out = self._process.stdout
        if out is None or not select.select([out], [], [], READY_WITHIN_S)[0] or out.readline() != b"ready\n":
            self._process.kill()
            raise ProbeBroken(f"{self._what} did not start: {self._complaint()}")
        return self

    def tell(self, line: str) -> None:
        """Say a line to it."""
        if self._process.stdin is not None:
            self._process.stdin.write(line.encode() + b"\n")
            self._process.stdin.flush()

    def finish(self) -> None:
        """Let it come to its end. Raises ProbeBroken if it does not, or ends badly."""
        try:
            told, _ = self._process.communicate(timeout=ENDS_WITHIN_S)
        except subprocess.TimeoutExpired as error:
            self._process.kill()
            raise ProbeBroken(f"{self._what} does not end") from error
        if self._process.returncode:
            raise ProbeBroken(f"{self._what} ended with {self._process.returncode}")
        if self._log is not None:
            self._log.write_bytes(told)

    def _complaint(self) -> str:
        _, complaint = self._process.communicate()
        lines = complaint.decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else f"exit code {self._process.returncode}"

    def __enter__(self) -> Self:
        return self.wait_ready()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._by_eof or kind is not None:
            self._process.kill()
            self._process.communicate()
        else:
            self.finish()


@dataclass
class Watch:
    """What happens while probes are sent: the events' log, and how long it has been going on."""

    started: float = field(default_factory=time.monotonic)
    rows: list[str] = field(default_factory=list)

    def event(self, name: str, *detail: str, at_ns: int | None = None) -> None:
        """Record it, as of now or of `at_ns` (CLOCK_MONOTONIC)."""
        self.rows.append(" ".join(("e", str(at_ns or time.monotonic_ns()), name, *detail)))

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started

    def let_run(self, seconds: float) -> None:
        """Let probes be sent for a while."""
        time.sleep(seconds)


def legs(site: Site, link: str) -> list[str]:
    """The hypervisors that have a leg of that name now."""
    return [
        node
        for node in site.nodes("hypervisor")
        if site.exec(node, ["ip", "link", "show", "dev", link]).returncode == 0
    ]


@contextmanager
def probing(
    site: Site,
    logs: Path,
    name: str,
    addresses: Sequence[str],
    connection: str | None = None,
    port: int | None = None,
    sample_legs: bool = True,
) -> Iterator[Watch]:
    """Send probes from `internet` to `addresses` every millisecond, and sample all legs, until the block is left.

    Leaves `NAME.probe`, `NAME.events`, `NAME.NODE.legs` and, with `connection`, `NAME.tcp` in `logs`.
    """
    for old in (*logs.glob(f"{name}.*.legs"), *logs.glob(f"{name}.tcp")):
        old.unlink()
    extra = () if port is None else ("--port", str(port))
    with ExitStack() as stack:
        started = [
            stack.enter_context(_Later(site, node, "legs", log=logs / f"{name}.{node}.legs"))
            for node in (site.nodes("hypervisor") if sample_legs else ())
        ]
        if connection is not None:
            started.append(stack.enter_context(_Later(site, "internet", "tcp", connection, log=logs / f"{name}.tcp")))
        for process in started:
            process.wait_ready()
        stack.enter_context(Running(site, "internet", "udp", *extra, *addresses, log=logs / f"{name}.probe"))
        watch = Watch()
        yield watch
    rawlog.write(logs / f"{name}.events", "events", {}, watch.rows)


class _Later(Running):
    """One that is not waited for at once, so that several start at the same time."""

    def __enter__(self) -> Self:
        return self
