"""Keeps a cloud's processes running: `python -m cloud.supervisor RUN_DIR`.

It runs what `manifest.json` in RUN_DIR lists, restarts what dies, writes one log per process, and obeys a unix socket:
one JSON object a line, answered by one. It knows processes by the descriptor it got when it made them, so a number
that was taken by another process since is never killed. It holds a lock on RUN_DIR for as long as it lives.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from cloud import leftovers, manifest
from cloud.manifest import Manifest, Process

RESTART_FIRST_S = 0.05
RESTART_LAST_S = 5.0
STEADY_S = 10.0  # who ran this long starts with a clean record
STOP_S = 8.0  # then SIGKILL
LOCK = "supervisor.lock"
SOCKET = "supervisor.sock"
PIDS = "pids"


class Unknown(Exception):
    """No process of that name."""


@dataclass
class Keeper:
    """One process, kept running while it is wanted."""

    spec: Process
    wanted: bool = False
    popen: subprocess.Popen[bytes] | None = None
    starts: int = 0
    failures: int = 0  # in a row
    started_at: float = 0.0
    last_exit: int | None = None
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    retry: asyncio.TimerHandle | None = None

    def report(self) -> dict[str, Any]:
        state = "running" if self.popen else ("restarting" if self.wanted else "stopped")
        return {
            "name": self.spec.name,
            "state": state,
            "pid": self.popen.pid if self.popen else None,
            "restarts": max(0, self.starts - 1),
            "uptime_s": round(time.monotonic() - self.started_at, 1) if self.popen else None,
            "last_exit": self.last_exit,
        }


class Supervisor:
    """Everything happens on the event loop's one thread: children die with the thread that made them."""

    def __init__(self, wanted: Manifest, loop: asyncio.AbstractEventLoop) -> None:
        self._manifest = wanted
        self._loop = loop
        self._keepers = {process.name: Keeper(process) for process in wanted.processes}
        self._sockets: dict[str, socket.socket] = {}
        self._pids = wanted.directory / PIDS
        self.done = asyncio.Event()

    # --- processes ---------------------------------------------------------------------------------------------------

    def open_sockets(self) -> None:
        """Raises OSError when a port is taken."""
        for name, port in self._manifest.sockets.items():
            if name not in self._sockets:
                server = socket.socket(socket.AF_INET)
                server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                server.bind(("127.0.0.1", port))
                server.listen(1024)
                self._sockets[name] = server

    def reload(self) -> None:
        """Take up a changed manifest: running processes go on, a changed one changes at its next start."""
        self._manifest = manifest.load(self._manifest.directory)
        self.open_sockets()
        for process in self._manifest.processes:
            if process.name in self._keepers:
                self._keepers[process.name].spec = process
            else:
                self._keepers[process.name] = Keeper(process)

    def start(self, name: str) -> None:
        """Starting what runs is no error."""
        keeper = self._keeper(name)
        keeper.wanted = True
        if keeper.popen is None and keeper.retry is None:
            self._spawn(keeper)

    async def stop(self, name: str, *, hard: bool = False) -> None:
        """Returns when it has ended. `hard`: by SIGKILL at once; every process of a cloud bears that."""
        keeper = self._keeper(name)
        keeper.wanted = False
        if keeper.retry is not None:
            keeper.retry.cancel()
            keeper.retry = None
        if keeper.popen is None:
            return
        keeper.popen.send_signal(signal.SIGKILL if hard else signal.Signals[keeper.spec.stop_signal])
        try:
            await asyncio.wait_for(keeper.ended.wait(), STOP_S)
        except TimeoutError:
            keeper.popen.kill()
            await keeper.ended.wait()

    async def stop_all(self, *, hard: bool = False) -> None:
        """The last stage first; within one, all at once."""
        for stage in sorted({keeper.spec.stage for keeper in self._keepers.values()}, reverse=True):
            names = [keeper.spec.name for keeper in self._keepers.values() if keeper.spec.stage == stage]
            await asyncio.gather(*(self.stop(name, hard=hard) for name in names))

    def kill(self, name: str, signal_name: str) -> int | None:
        """Send a signal; what is still wanted comes back. Returns the process's number, None if it did not run."""
        keeper = self._keeper(name)
        if keeper.popen is None:
            return None
        keeper.popen.send_signal(signal.Signals[signal_name])
        return keeper.popen.pid

    def report(self) -> list[dict[str, Any]]:
        return [keeper.report() for keeper in self._keepers.values()]

    def _keeper(self, name: str) -> Keeper:
        if name not in self._keepers:
            raise Unknown(f"there is no process {name}; there are {', '.join(self._keepers)}")
        return self._keepers[name]

    def _log(self, name: str) -> IO[bytes]:
        if self._manifest.logs is None:
            return os.fdopen(os.dup(sys.stderr.fileno()), "ab", buffering=0)
        return (self._manifest.logs / f"{name}.log").open("ab", buffering=0)

    def _spawn(self, keeper: Keeper) -> None:
        spec = keeper.spec
        keeper.retry = None
        descriptors = {name: self._sockets[name].fileno() for name in spec.sockets}
        environment = {**os.environ, **{key: _fill(value, descriptors) for key, value in spec.environment.items()}}
        with self._log(spec.name) as log:
            try:
                keeper.popen = subprocess.Popen(
                    spec.command(),
                    env=environment,
                    cwd=self._manifest.directory,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    pass_fds=tuple(descriptors.values()),
                    start_new_session=True,
                )
            except OSError as error:
                log.write(f"supervisor: {error}\n".encode())
                self._schedule_retry(keeper)
                return
        keeper.starts += 1
        keeper.started_at = time.monotonic()
        keeper.ended = asyncio.Event()
        leftovers.note(self._pids, spec.name, keeper.popen.pid)
        descriptor = os.pidfd_open(keeper.popen.pid)
        self._loop.add_reader(descriptor, self._ended, keeper, descriptor)

    def _ended(self, keeper: Keeper, descriptor: int) -> None:
        self._loop.remove_reader(descriptor)
        os.close(descriptor)
        if keeper.popen is None:
            return
        keeper.last_exit = keeper.popen.wait()
        keeper.popen = None
        leftovers.forget(self._pids, keeper.spec.name)
        keeper.ended.set()
        if keeper.wanted:
            self._schedule_retry(keeper)

    def _schedule_retry(self, keeper: Keeper) -> None:
        steady = time.monotonic() - keeper.started_at > STEADY_S
        keeper.failures = 0 if steady else keeper.failures + 1
        delay = min(RESTART_LAST_S, RESTART_FIRST_S * 2**keeper.failures)
        say(f"{keeper.spec.name} ended with {keeper.last_exit}; again in {delay:.2f} s")
        keeper.retry = self._loop.call_later(delay, self._spawn, keeper)

    # --- orders ------------------------------------------------------------------------------------------------------

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer):
            while line := await reader.readline():
                writer.write(json.dumps(await self._answer(line)).encode() + b"\n")
                try:
                    await writer.drain()
                except ConnectionError:
                    return

    async def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            return {"ok": True, **await self._obey(json.loads(line))}
        except (Unknown, KeyError, ValueError, OSError) as error:
            return {"ok": False, "error": str(error) or type(error).__name__}

    async def _obey(self, order: dict[str, Any]) -> dict[str, Any]:
        match order["do"]:
            case "status":
                return {"pid": os.getpid(), "processes": self.report()}
            case "start":
                for name in order["names"]:
                    self.start(name)
            case "stop":
                await asyncio.gather(*(self.stop(name) for name in order["names"]))
            case "kill":
                return {"pid": self.kill(order["name"], order.get("signal", "SIGKILL"))}
            case "reload":
                self.reload()
            case "shutdown":
                await self.stop_all(hard=order.get("hard", False))
                self._loop.call_soon(self.done.set)
            case unknown:
                raise Unknown(f"{unknown} is no order")
        return {}


def _fill(value: str, descriptors: dict[str, int]) -> str:
    for name, number in descriptors.items():
        value = value.replace(f"{{fd:{name}}}", f"fd:{number}")
    return value


def say(message: str) -> None:
    print(f"{time.strftime('%Y-%m-%dT%H:%M:%S%z')} {message}", file=sys.stderr, flush=True)


def lock(directory: Path) -> IO[str]:
    """Hold the directory for as long as the file is open. Raises BlockingIOError when another supervisor does."""
    file = (directory / LOCK).open("a")
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    file.truncate(0)
    file.write(f"{os.getpid()}\n")
    file.flush()
    return file


def holder(directory: Path) -> int | None:
    """The number of the supervisor that holds the directory, or held it last."""
    text = (directory / LOCK).read_text().strip() if (directory / LOCK).exists() else ""
    return int(text) if text.isdigit() else None


async def run(wanted: Manifest) -> None:
    loop = asyncio.get_running_loop()
    supervisor = Supervisor(wanted, loop)
    supervisor.open_sockets()
    path = wanted.directory / SOCKET
    path.unlink(missing_ok=True)
    server = await asyncio.start_unix_server(supervisor.serve, path)
    path.chmod(0o600)
    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, supervisor.done.set)
    for process in wanted.processes if wanted.at_once else ():
        supervisor.start(process.name)
    say("ready")
    await supervisor.done.wait()
    await supervisor.stop_all()
    server.close()
    path.unlink(missing_ok=True)


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit("usage: python -m cloud.supervisor RUN_DIR")
    directory = Path(sys.argv[1])
    try:
        held = lock(directory)
        wanted = manifest.load(directory)
    except BlockingIOError:
        sys.exit(f"another supervisor holds {directory}")
    except (OSError, ValueError) as error:
        sys.exit(f"{directory}: {error}")
    with held:
        (directory / PIDS).mkdir(exist_ok=True)
        leftovers.end_all(directory / PIDS)
        asyncio.run(run(wanted))


if __name__ == "__main__":
    main()
