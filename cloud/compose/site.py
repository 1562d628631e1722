"""A cloud in containers as a place to act in: the same `Site` as the local cloud's."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from cloud import fabric, processes
from cloud.compose import engine, operations
from cloud.compose.layout import GUESTS, INTERNET, MANAGEMENT_LINK, NAME, ONE_SHOTS, PATHS, PLAN, PYTHON
from cloud.control import ProcessStatus
from cloud.operations import NETWORKS, Network, silent
from cloud.plan import Role
from cloud.site import StillDown, Stream
from cloud.tour.show import Stage
from common.errors import NotFound

_MAIN = "$(cat /proc/1/task/1/children)"  # of a container: the one child of its init
_IN_GUEST = f"""
for folder in {PATHS.guests}/*; do
    [ "$(cat "$folder/name")" = "$0" ] && exec nsenter --net="$folder/net" -- "$@"
done
echo "there is no guest $0" >&2
exit 127
"""


@dataclass(frozen=True)
class ComposeSite:
    """The cloud in containers, which is up."""

    @property
    def name(self) -> str:
        return NAME

    @property
    def zone(self) -> str:
        return self.zones[0]

    @property
    def zones(self) -> list[str]:
        return [zone.name for zone in PLAN.zones]

    @property
    def apis(self) -> Mapping[str, str]:
        return operations.apis()

    @property
    def python(self) -> str:
        return PYTHON

    def nodes(self, role: str | None = None, zone: str | None = None) -> list[str]:
        of = PLAN.nodes if zone is None else PLAN.zone(zone).nodes
        return [node.name for node in of if role is None or node.role is Role(role)]

    def endpoint(self, node: str) -> str:
        return str(PLAN.node(node).endpoint)

    def token(self, *, project: str, roles: Sequence[str], subject: str = "site") -> str:
        return operations.token(project=project, roles=roles, subject=subject)

    def exec(self, place: str, argv: Sequence[str], *, timeout_s: float = 30) -> subprocess.CompletedProcess[str]:
        command = exec_argv(place, argv)
        return subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)

    def spawn(
        self, place: str, argv: Sequence[str], *, stdin: Stream = None, stdout: Stream = None, stderr: Stream = None
    ) -> subprocess.Popen[bytes]:
        command = exec_argv(place, argv, "--interactive")
        return subprocess.Popen(command, bufsize=0, stdin=stdin, stdout=stdout, stderr=stderr)

    def cut(self, node: str, networks: Sequence[Network] = NETWORKS) -> None:
        self._change_cut(node, networks, ["add"], "down")

    def heal(self, node: str, networks: Sequence[Network] = NETWORKS) -> None:
        # Deleting what is not there is an error: adding first makes it none.
        self._change_cut(node, networks, ["add", "delete"], "up")

    def _change_cut(self, node: str, networks: Sequence[Network], verbs: Sequence[str], link: str) -> None:
        which = PLAN.node(node)
        if "fabric" in networks:
            for verb in verbs:
                engine.run(exec_argv(PLAN.edge.name, ["nft", fabric.cut_elements(PLAN, which, verb)]))
        if "management" in networks:
            engine.run(exec_argv(node, ["ip", "link", "set", MANAGEMENT_LINK, link]))

    def power(self, node: str, *, on: bool) -> None:
        """The container goes, with its network namespace; on again, it has its disk and nothing else."""
        engine.run(["docker", "start" if on else "kill", _container(node)])

    def processes(self) -> list[ProcessStatus]:
        """The main processes of containers, and, in place of a machine's, what is supervised in it."""
        found = []
        for each in engine.containers():
            if each.service in _supervised_places() and each.state == "running":
                answer = self._ask(each.service, {"do": "status"})
                found += [ProcessStatus(**row) for row in answer["processes"]]
            elif each.service not in ONE_SHOTS:
                running = each.state == "running"
                pid = each.pid if running else None
                state = "running" if running else "stopped"
                found.append(ProcessStatus(each.service, state, pid, each.restarts, None, each.exit_code))
        return found

    @staticmethod
    def agent(node: str) -> str:
        """The supervised name of a node's agent."""
        return f"{processes.AGENT}-{node}"

    @staticmethod
    def routing_daemon(node: str) -> str:
        """The supervised name of a node's routing daemon."""
        return f"{processes.BIRD}-{node}"

    def kill(self, process: str, signal_name: str = "SIGKILL") -> int | None:
        place = _place(process)
        if place in _supervised_places():
            pid: int | None = self._ask(place, {"do": "kill", "name": process, "signal": signal_name})["pid"]
            return pid
        # By the engine it would count as stopped on purpose, and not come back.
        found = engine.container(place)
        signal = signal_name.removeprefix("SIG")
        engine.run(["docker", "exec", found.id, "sh", "-c", f"kill -s {signal} {_MAIN}"])
        return found.pid

    def wait_running(self, process: str, not_pid: int | None = None, within_s: float = 30) -> int:
        ends = time.monotonic() + within_s
        while True:
            for each in self.processes():
                if each.name == process and each.pid is not None and each.pid != not_pid:
                    return each.pid
            if time.monotonic() > ends:
                raise StillDown(f"{process} did not come back within {within_s:.0f} s; see docker-compose logs")
            time.sleep(0.1)

    def log(self, process: str) -> str:
        """That of the whole machine, for one that is supervised in it."""
        return engine.log(_place(process))

    @staticmethod
    def _ask(place: str, order: dict[str, Any]) -> dict[str, Any]:
        argv = [PYTHON, "-m", "cloud.control", str(PATHS.run), json.dumps(order)]
        answer: dict[str, Any] = json.loads(engine.run(["docker", "exec", _container(place), *argv]))
        if not answer["ok"]:
            raise NotFound(answer["error"])
        return answer


def exec_argv(place: str, argv: Sequence[str], *options: str) -> list[str]:
    """The command that runs `argv` inside `internet`, a node, or a guest by its instance's name. Raises NotFound."""
    if place in (INTERNET, *(node.name for node in PLAN.nodes)):
        return ["docker", "exec", *options, _container(place), *argv]
    return ["docker", "exec", *options, _container(GUESTS), "sh", "-c", _IN_GUEST, place, *argv]


@cache
def _container(service: str) -> str:
    return engine.container(service).id


def _place(process: str) -> str:
    """The service in whose container a process runs."""
    if process == processes.GUEST_HELPER:
        return GUESTS
    for kind in (processes.AGENT, processes.BIRD):
        if process.startswith(f"{kind}-"):
            return process.removeprefix(f"{kind}-")
    return process


def _supervised_places() -> set[str]:
    return {GUESTS, *(node.name for node in PLAN.nodes)}


def stage() -> Stage[ComposeSite]:
    """For a tour."""
    return Stage(
        NAME,
        operations.is_up,
        lambda progress: f"{operations.up(progress)} containers run",
        lambda: operations.down(silent),
        ComposeSite,
    )
