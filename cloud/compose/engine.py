"""The container engine and Compose, by their commands."""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cloud.compose.layout import NAME
from common.errors import DomainError, NotFound, Unavailable

CHECKOUT = Path(__file__).resolve().parent.parent.parent
SECRETS = CHECKOUT / "deploy/compose/secrets"
PROJECT = "godwit"  # as in .env, for those who call Compose themselves


class EngineFailed(DomainError):
    """The container engine, or Compose, refused."""

    code = "compose.engine"


class EngineMissing(Unavailable):
    """No container engine answers, or Compose is not installed."""

    code = "compose.no_engine"


@dataclass(frozen=True, slots=True)
class Container:
    """`state` and `health` as the engine says: `running`, `exited`…; `healthy`, `unhealthy`, `starting`, or empty."""

    id: str
    service: str
    state: str
    health: str
    pid: int
    restarts: int
    exit_code: int


def run(argv: Sequence[str]) -> str:
    """The standard output of a command in our checkout. Raises EngineFailed with its last complaint, EngineMissing."""
    try:
        done = subprocess.run(argv, capture_output=True, text=True, cwd=CHECKOUT, env=_environment(), check=False)
    except FileNotFoundError as error:
        raise EngineMissing(f"{argv[0]} is not installed; docs/compose.md says what is needed") from error
    if done.returncode:
        lines = [line.strip() for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        reasons = [line for line in lines if line.startswith("ERROR: for ")]  # after which Compose 1 says nothing more
        raise EngineFailed(f"{' '.join(argv[:3])}: {(reasons or lines[-1:] or ['no reason given'])[0]}")
    return done.stdout


def compose(*arguments: str) -> str:
    """Run Compose on our file, or those that COMPOSE_FILE names. Raises EngineFailed, EngineMissing."""
    return run([*_compose(), "--project-name", PROJECT, *arguments])


@functools.cache
def _compose() -> tuple[str, ...]:
    """The command of whichever version is there."""
    if not (CHECKOUT / "docker-compose.yml").exists():
        raise NotFound(f"cloud {NAME} is started from a checkout of the project, and {CHECKOUT} is none")
    if shutil.which("docker") is None:
        raise EngineMissing("docker is not installed; docs/compose.md says what is needed")
    try:
        run(["docker", "compose", "version"])
    except EngineFailed:
        return ("docker-compose",)
    return ("docker", "compose")


def _environment() -> dict[str, str]:
    """Builds go by the classic builder, which every engine has; buildx is a plugin that may be missing."""
    return {**os.environ, "DOCKER_BUILDKIT": "0", "COMPOSE_DOCKER_CLI_BUILD": "0"}


def containers() -> list[Container]:
    """All containers of the project, one-off ones left out. Raises EngineFailed, EngineMissing."""
    labels = (f"com.docker.compose.project={PROJECT}", "com.docker.compose.oneoff=False")
    filters = [word for label in labels for word in ("--filter", f"label={label}")]
    ids = run(["docker", "ps", "--all", "--quiet", "--no-trunc", *filters]).split()
    if not ids:
        return []
    found = []
    for row in json.loads(run(["docker", "inspect", *ids])):
        state = row["State"]
        found.append(
            Container(
                id=row["Id"],
                service=row["Config"]["Labels"]["com.docker.compose.service"],
                state=state["Status"],
                health=state.get("Health", {}).get("Status", ""),
                pid=state["Pid"],
                restarts=row["RestartCount"],
                exit_code=state["ExitCode"],
            )
        )
    return sorted(found, key=lambda container: container.service)


def container(service: str) -> Container:
    """The first container of a service. Raises NotFound, EngineFailed, EngineMissing."""
    for found in containers():
        if found.service == service:
            return found
    raise NotFound(f"cloud {NAME} has no container of {service}; start the cloud with: make compose-up")


def log(service: str, lines: int | None = None) -> str:
    """What the service's container wrote, on both streams."""
    tail = [] if lines is None else ["--tail", str(lines)]
    done = subprocess.run(
        ["docker", "logs", *tail, container(service).id],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.stdout
