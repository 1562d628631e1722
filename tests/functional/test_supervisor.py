"""The supervisor with real processes: it restarts what dies, stops what it is told to, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cloud import leftovers, manifest, supervisor
from cloud.control import ProcessStatus, Supervision, SupervisorSilent
from cloud.manifest import Manifest, Process
from cloud.plan import Paths
from cloud.state import free_ports
from common.errors import NotFound

SLEEP = (sys.executable, "-S", "-c", "import time; time.sleep(600)")
DEAF = (
    sys.executable,
    "-S",
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)",
)
ANSWER_WITH_PID = """
import os, socket
server = socket.socket(fileno=int(os.environ["LISTEN"].removeprefix("fd:")))
while True:
    client, _ = server.accept()
    client.sendall(str(os.getpid()).encode())
    client.close()
"""
SERVER = (sys.executable, "-c", ANSWER_WITH_PID)


def eventually(condition: Callable[[], object], what: str, within_s: float = 10) -> None:
    ends = time.monotonic() + within_s
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < ends, f"not within {within_s} s: {what}"
        pause.wait(0.01)


class Run:
    """A supervisor in a directory of its own."""

    def __init__(
        self, directory: Path, *processes: Process, sockets: dict[str, int] | None = None, at_once: bool = False
    ) -> None:
        self.paths = Paths(directory, directory, directory / "log")
        self.manifest = Manifest(directory, self.paths.log, processes, sockets or {}, at_once=at_once)
        manifest.save(self.manifest)
        self.supervision = Supervision(self.paths)
        self.supervision.launch()

    def of(self, name: str) -> ProcessStatus:
        return next(process for process in self.supervision.processes() if process.name == name)

    def pid(self, name: str) -> int:
        pid = self.of(name).pid
        assert pid is not None
        return pid

    def stop(self) -> None:
        try:
            self.supervision.shutdown(hard=True)
        except SupervisorSilent:
            leftovers.end_all(self.paths.run / supervisor.PIDS)
        eventually(lambda: not self.supervision.runs, "the supervisor ended")


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Callable[..., Run]]:
    started: list[Run] = []

    def start(*processes: Process, **options: Any) -> Run:
        started.append(Run(tmp_path, *processes, **options))
        return started[-1]

    yield start
    for each in started:
        each.stop()


def test_what_is_killed_comes_back(run: Callable[..., Run]) -> None:
    here = run(Process("one", SLEEP))
    here.supervision.start(["one"])
    before = here.pid("one")

    assert here.supervision.kill("one") == before

    eventually(lambda: here.of("one").pid not in {None, before}, "a new process")
    assert here.of("one").restarts == 1
    assert here.of("one").last_exit == -signal.SIGKILL


def test_a_container_wants_all_of_its_processes_from_the_beginning(run: Callable[..., Run]) -> None:
    here = run(Process("one", SLEEP), Process("two", SLEEP), at_once=True)

    order = [sys.executable, "-m", "cloud.control", str(here.paths.run), json.dumps({"do": "status"})]
    answer = json.loads(subprocess.run(order, capture_output=True, text=True, check=True).stdout)

    assert [row["state"] for row in answer["processes"]] == ["running", "running"]


def test_what_ends_at_once_is_tried_again_ever_more_slowly(run: Callable[..., Run]) -> None:
    here = run(Process("one", (sys.executable, "-S", "-c", "raise SystemExit(3)")))
    here.supervision.start(["one"])

    eventually(lambda: here.of("one").restarts >= 2, "two attempts")

    assert here.of("one").last_exit == 3
    log = (here.paths.log / "supervisor.log").read_text()
    assert "again in 0.10 s" in log
    assert "again in 0.20 s" in log


def test_a_program_that_is_not_there_does_not_stop_the_others(run: Callable[..., Run]) -> None:
    here = run(Process("absent", ("/nowhere/program",)), Process("one", SLEEP))

    here.supervision.start(["absent", "one"])

    assert here.of("absent").state == "restarting"
    assert here.of("one").state == "running"
    assert "/nowhere/program" in (here.paths.log / "absent.log").read_text()


def test_what_is_stopped_stays_stopped_and_can_be_started(run: Callable[..., Run]) -> None:
    here = run(Process("one", SLEEP))
    here.supervision.start(["one"])
    pid = here.pid("one")

    here.supervision.stop(["one"])

    assert here.of("one").state == "stopped"
    assert leftovers.started(pid) is None
    here.supervision.start(["one"])
    assert here.of("one").state == "running"


def test_a_hard_shutdown_asks_nobody(run: Callable[..., Run]) -> None:
    here = run(Process("one", DEAF))
    here.supervision.start(["one"])
    eventually(lambda: "deaf" in (here.paths.log / "one.log").read_text(), "it ignores SIGTERM")
    pid = here.pid("one")

    here.supervision.shutdown(hard=True)

    assert leftovers.started(pid) is None
    eventually(lambda: not here.supervision.runs, "the supervisor ended")


def test_a_restarted_process_is_told_that_it_ran_before(run: Callable[..., Run], tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    code = "import sys, time; print(*sys.argv[1:], 'end', flush=True); time.sleep(600)"
    here = run(Process("one", (sys.executable, "-S", "-c", code), marker=marker, again=("-R",)))
    log = here.paths.log / "one.log"
    here.supervision.start(["one"])
    eventually(lambda: log.read_text() == "end\n", "first start")

    marker.touch()
    here.supervision.kill("one")

    eventually(lambda: log.read_text() == "end\n-R end\n", "second start")


def test_a_socket_outlives_its_process(run: Callable[..., Run]) -> None:
    (port,) = free_ports(1)
    here = run(
        Process("one", SERVER, {"LISTEN": "{fd:api}"}, sockets=("api",)),
        sockets={"api": port},
    )
    here.supervision.start(["one"])

    def ask() -> int:
        with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
            return int(client.recv(64))

    before = ask()
    os.kill(before, signal.SIGKILL)
    assert ask() != before  # accepted by the kernel meanwhile, answered by the next


def test_an_unknown_name_is_refused_with_those_that_exist(run: Callable[..., Run]) -> None:
    here = run(Process("one", SLEEP), Process("two", SLEEP))
    with pytest.raises(NotFound, match="no process three; there are one, two"):
        here.supervision.start(["three"])


def test_only_one_supervisor_runs_in_a_directory(run: Callable[..., Run]) -> None:
    here = run(Process("one", SLEEP))
    with pytest.raises(BlockingIOError):
        supervisor.lock(here.paths.run)


def test_a_killed_supervisor_s_processes_are_ended_by_the_next(run: Callable[..., Run]) -> None:
    here = run(Process("one", SLEEP))
    here.supervision.start(["one"])
    orphan = here.pid("one")  # without the parent-death signal it lives on
    os.kill(here.supervision.pid(), signal.SIGKILL)
    eventually(lambda: not here.supervision.runs, "the supervisor is dead")
    assert leftovers.started(orphan)

    here.supervision.launch()

    assert leftovers.started(orphan) is None
    here.supervision.start(["one"])
    assert here.pid("one") != orphan


def test_a_number_that_another_process_took_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "one.pid").write_text(f"{os.getpid()} 1\n")  # our number, another start time
    leftovers.end_all(tmp_path)
    assert leftovers.started(os.getpid())
