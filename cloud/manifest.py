"""What the supervisor runs, as a JSON file: processes, and the sockets they inherit."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import TypeAdapter


@dataclass(frozen=True)
class Process:
    """One process to keep running.

    `{fd:NAME}` in an environment value becomes the number of the inherited socket NAME. Where `marker` exists when it
    is started, it ran before, and gets `again` as additional arguments. A lower `stage` starts earlier, stops later.
    """

    name: str
    argv: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)
    sockets: tuple[str, ...] = ()
    stage: int = 1
    stop_signal: str = "SIGTERM"
    marker: Path | None = None
    again: tuple[str, ...] = ()

    def command(self) -> list[str]:
        ran_before = self.marker is not None and self.marker.exists()
        return [*self.argv, *(self.again if ran_before else ())]


@dataclass(frozen=True)
class Manifest:
    """`sockets` are opened by the supervisor on the host's loopback and stay open while their processes restart."""

    directory: Path  # run directory: control socket, lock, pid files
    logs: Path | None  # a file for each process; None: what they write goes where the supervisor's own does
    processes: tuple[Process, ...]
    sockets: dict[str, int] = field(default_factory=dict)  # TCP ports by name
    at_once: bool = False  # everything is wanted from the beginning; else a process is when somebody asks for it

    def process(self, name: str) -> Process | None:
        return next((process for process in self.processes if process.name == name), None)


_ADAPTER = TypeAdapter(Manifest)
FILE = "manifest.json"


def save(manifest: Manifest) -> None:
    """Whole or not at all, for its owner alone: environments hold passwords."""
    path = manifest.directory / FILE
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(_ADAPTER.dump_json(manifest, indent=1))
    fresh.replace(path)


def load(directory: Path) -> Manifest:
    """Raises FileNotFoundError, ValueError."""
    return _ADAPTER.validate_json((directory / FILE).read_bytes())
