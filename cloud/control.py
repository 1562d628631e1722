"""Talks to a cloud's supervisor, and starts one. `python -m cloud.control RUN_DIR ORDER` puts it an order in JSON."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cloud import supervisor
from cloud.plan import Paths
from common.errors import NotFound, Unavailable

PATIENCE_S = 30.0
STARTED_WITHIN_S = 10.0


class SupervisorSilent(Unavailable):
    """The cloud's supervisor does not run or does not answer."""

    code = "cloud.supervisor_silent"


@dataclass(frozen=True, slots=True)
class ProcessStatus:
    """One supervised process. `state` is `running`, `restarting` or `stopped`."""

    name: str
    state: str
    pid: int | None
    restarts: int
    uptime_s: float | None
    last_exit: int | None


@dataclass(frozen=True, slots=True)
class Supervision:
    """The control socket of one cloud's supervisor. Every call raises SupervisorSilent when nobody answers."""

    paths: Paths

    @property
    def runs(self) -> bool:
        """Whether a supervisor holds the run directory, answering or not."""
        path = self.paths.run / supervisor.LOCK
        if not path.exists():
            return False
        with path.open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    def pid(self) -> int:
        return int(self._ask({"do": "status"})["pid"])

    def processes(self) -> list[ProcessStatus]:
        return [ProcessStatus(**row) for row in self._ask({"do": "status"})["processes"]]

    def start(self, names: Sequence[str]) -> None:
        """Raises NotFound for an unknown name. What runs stays as it is."""
        self._ask({"do": "start", "names": list(names)})

    def stop(self, names: Sequence[str]) -> None:
        """Returns when they have ended."""
        self._ask({"do": "stop", "names": list(names)})

    def kill(self, name: str, signal_name: str = "SIGKILL") -> int | None:
        """Returns the number of the process killed; None if it did not run."""
        pid: int | None = self._ask({"do": "kill", "name": name, "signal": signal_name})["pid"]
        return pid

    def reload(self) -> None:
        self._ask({"do": "reload"})

    def shutdown(self, *, hard: bool = False) -> None:
        """Returns when all its processes have ended. `hard`: killed, not asked."""
        self._ask({"do": "shutdown", "hard": hard})

    def launch(self) -> None:
        """Start one, detached from the caller; returns when it answers."""
        self.paths.log.mkdir(parents=True, exist_ok=True)
        log = self.paths.log / "supervisor.log"
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parent.parent), "PYTHONUNBUFFERED": "1"}
        with log.open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "cloud.supervisor", str(self.paths.run)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd="/",
                env=environment,
                start_new_session=True,
            )
        ends = time.monotonic() + STARTED_WITHIN_S
        while not self._answers():
            if process.poll() is not None or time.monotonic() > ends:
                raise SupervisorSilent(f"the supervisor did not start: {_last_line(log)} (see {log})")
            time.sleep(0.01)

    def _answers(self) -> bool:
        try:
            self._ask({"do": "status"})
        except SupervisorSilent:
            return False
        return True

    def _ask(self, order: dict[str, Any]) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self.forward(json.dumps(order)))
        if not answer["ok"]:
            raise NotFound(answer["error"])
        return answer

    def forward(self, order: str) -> str:
        """The answer to an order, both a line of JSON."""
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(PATIENCE_S)
            try:
                client.connect(str(self.paths.control_socket))
                client.sendall(order.encode() + b"\n")
                with client.makefile("rb") as stream:
                    line = stream.readline()
            except OSError as error:
                raise SupervisorSilent(f"no supervisor answers in {self.paths.run}: {error}") from error
        if not line:
            raise SupervisorSilent(f"the supervisor in {self.paths.run} ended")
        return line.decode()


def _last_line(path: Path) -> str:
    lines = path.read_text(errors="replace").strip().splitlines() if path.exists() else []
    return lines[-1] if lines else "it said nothing"


def main() -> None:
    if len(sys.argv) != 3:
        sys.exit("usage: python -m cloud.control RUN_DIR ORDER")
    run = Path(sys.argv[1])
    try:
        print(Supervision(Paths(run, run, run)).forward(sys.argv[2]), end="")
    except SupervisorSilent as error:
        sys.exit(error.message)


if __name__ == "__main__":
    main()
