"""Where a tour or an end-to-end test acts: run in a place, cut, kill, ask. Any kind of cloud can be one."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, Protocol

from cloud import operations, processes, state
from cloud.control import ProcessStatus, Supervision
from cloud.operations import NETWORKS, Network
from cloud.plan import Paths, Plan, Role
from cloud.state import State
from common.errors import Unavailable

Stream = IO[bytes] | int | None


class Site(Protocol):
    """A running cloud. Places are `internet`, node names, `control`, and guests by their instance's name.

    All calls raise DomainError subclasses.
    """

    @property
    def name(self) -> str: ...

    @property
    def zone(self) -> str:
        """The first zone, often the only one."""

    @property
    def zones(self) -> list[str]:
        """Names of all zones, the first one first."""

    @property
    def apis(self) -> Mapping[str, str]:
        """Base URLs by service: `ipam`, `placement`."""

    @property
    def python(self) -> str:
        """An interpreter that every place has."""

    def nodes(self, role: str | None = None, zone: str | None = None) -> list[str]:
        """Names of the nodes: of one role (`edge`, `gateway`, `hypervisor`) or all, of one zone or all."""

    def endpoint(self, node: str) -> str:
        """The node's address in the fabric."""

    def token(self, *, project: str, roles: Sequence[str], subject: str = "site") -> str:
        """A bearer token for both services."""

    def exec(self, place: str, argv: Sequence[str], *, timeout_s: float = 30) -> subprocess.CompletedProcess[str]:
        """Run a command there to its end; its exit code is the caller's business."""

    def spawn(
        self, place: str, argv: Sequence[str], *, stdin: Stream = None, stdout: Stream = None, stderr: Stream = None
    ) -> subprocess.Popen[bytes]:
        """Start a command there. The caller ends it."""

    def cut(self, node: str, networks: Sequence[Network] = NETWORKS) -> None:
        """Partition a node; its processes go on."""

    def heal(self, node: str, networks: Sequence[Network] = NETWORKS) -> None:
        """Undo `cut`."""

    def power(self, node: str, *, on: bool) -> None:
        """Switch a node off, or on again."""

    def processes(self) -> list[ProcessStatus]:
        """All that is supervised."""

    def kill(self, process: str, signal_name: str = "SIGKILL") -> int | None:
        """Send a signal to a process by its supervised name; it comes back by itself."""

    def wait_running(self, process: str, not_pid: int | None = None, within_s: float = 30) -> int:
        """Until the process runs, under another number than `not_pid`. Returns its number. Raises StillDown."""

    def log(self, process: str) -> str:
        """What the process wrote so far."""


class StillDown(Unavailable):
    """A killed process did not come back in time."""

    code = "cloud.still_down"


@dataclass(frozen=True)
class LocalSite:
    """A local cloud on this host, which is up."""

    name: str

    @cached_property
    def _state(self) -> State:
        return state.load(self.name)

    @property
    def plan(self) -> Plan:
        return self._state.plan

    @property
    def paths(self) -> Paths:
        return self.plan.paths

    @property
    def zone(self) -> str:
        return self.zones[0]

    @property
    def zones(self) -> list[str]:
        return [zone.name for zone in self.plan.zones]

    @property
    def apis(self) -> Mapping[str, str]:
        return self._state.apis

    @property
    def python(self) -> str:
        return sys.executable

    def nodes(self, role: str | None = None, zone: str | None = None) -> list[str]:
        of = self.plan.nodes if zone is None else self.plan.zone(zone).nodes
        return [node.name for node in of if role is None or node.role is Role(role)]

    def endpoint(self, node: str) -> str:
        return str(self.plan.node(node).endpoint)

    def token(self, *, project: str, roles: Sequence[str], subject: str = "site") -> str:
        return operations.token(self.name, project=project, roles=roles, subject=subject)

    def network(self, place: str) -> Path:
        """The file of the place's network namespace."""
        return operations.network_of(self.name, place)

    def exec(self, place: str, argv: Sequence[str], *, timeout_s: float = 30) -> subprocess.CompletedProcess[str]:
        command = operations.exec_argv(self.name, place, argv)
        return subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)

    def spawn(
        self, place: str, argv: Sequence[str], *, stdin: Stream = None, stdout: Stream = None, stderr: Stream = None
    ) -> subprocess.Popen[bytes]:
        command = operations.exec_argv(self.name, place, argv)
        return subprocess.Popen(command, bufsize=0, stdin=stdin, stdout=stdout, stderr=stderr)

    def cut(self, node: str, networks: Sequence[Network] = NETWORKS) -> None:
        operations.cut(self.name, node, networks)

    def heal(self, node: str, networks: Sequence[Network] = NETWORKS) -> None:
        operations.heal(self.name, node, networks)

    def power(self, node: str, *, on: bool) -> None:
        operations.power(self.name, node, on)

    def processes(self) -> list[ProcessStatus]:
        return Supervision(self.paths).processes()

    @staticmethod
    def agent(node: str) -> str:
        """The supervised name of a node's agent."""
        return f"{processes.AGENT}-{node}"

    @staticmethod
    def routing_daemon(node: str) -> str:
        """The supervised name of a node's routing daemon."""
        return f"{processes.BIRD}-{node}"

    def kill(self, process: str, signal_name: str = "SIGKILL") -> int | None:
        return operations.kill(self.name, process, signal_name)

    def wait_running(self, process: str, not_pid: int | None = None, within_s: float = 30) -> int:
        ends = time.monotonic() + within_s
        while True:
            for each in self.processes():
                if each.name == process and each.pid is not None and each.pid != not_pid:
                    return each.pid
            if time.monotonic() > ends:
                raise StillDown(f"{process} did not come back within {within_s:.0f} s; see {self.paths.log}")
            time.sleep(0.01)

    def log(self, process: str) -> str:
        path: Path = self.paths.log / f"{process}.log"
        return path.read_text(errors="replace") if path.exists() else ""
