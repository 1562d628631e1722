"""Removes a local cloud, whole or in pieces, and nothing of anybody else's."""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from cloud import fabric, guests, leftovers, namespaces, supervisor
from cloud.control import Supervision, SupervisorSilent
from cloud.plan import Paths, Plan
from common.errors import Conflict

RUN = Path("/run/godwit")
SETTLED_WITHIN_S = 5.0


class Busy(Conflict):
    """Another command changes this cloud."""

    code = "cloud.busy"


@contextmanager
def exclusively(name: str) -> Iterator[None]:
    """Only one command at a time changes a cloud. Raises Busy."""
    RUN.mkdir(parents=True, exist_ok=True)
    path = RUN / f"{name}.lock"
    while True:
        file = path.open("w")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            raise Busy(f"another command is changing cloud {name}; wait until it is done") from None
        if path.exists() and path.stat().st_ino == os.fstat(file.fileno()).st_ino:
            break
        file.close()  # its last holder removed it as we opened it
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        file.close()


def end_strays(plan: Plan) -> None:
    """End what a dead supervisor left: the processes it noted, and all among the control processes; guests live on."""
    leftovers.end_all(plan.paths.run / supervisor.PIDS)
    leftovers.end(namespaces.pids(plan.control))


def remove(name: str, *, keep_data: bool, progress: Callable[[str], None]) -> bool:
    """Returns whether there was anything. Repeating it, or running it on half a cloud, is no error."""
    paths = Paths.of(name)
    found = [str(path) for path in (paths.run, paths.data, paths.log) if path.exists()] + fabric.present(name)
    if not found:
        return False
    progress("stopping processes")
    _stop_supervisor(paths, hard=not keep_data)
    end_strays(Plan(name))
    leftovers.end(pid for namespace in fabric.present(name) for pid in namespaces.pids(namespace))
    progress("removing guests, namespaces and BPF objects")
    guests.remove_all(paths.guests)
    guests.unmount(paths.bpf)  # pins go with it, and what only they held
    fabric.remove(name)
    shutil.rmtree(paths.run, ignore_errors=True)
    if not keep_data:
        progress("removing data and logs")
        shutil.rmtree(paths.data, ignore_errors=True)
        shutil.rmtree(paths.log, ignore_errors=True)
    return True


def _stop_supervisor(paths: Paths, *, hard: bool) -> None:
    supervision = Supervision(paths)
    if not supervision.runs:
        return
    try:
        pid: int | None = supervision.pid()
        supervision.shutdown(hard=hard)
    except SupervisorSilent:
        pid = supervisor.holder(paths.run)
    if pid is not None:
        leftovers.end([pid])
    ends = time.monotonic() + SETTLED_WITHIN_S
    while supervision.runs and time.monotonic() < ends:
        time.sleep(0.01)
