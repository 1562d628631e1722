"""What a local cloud must remember between two runs: its zones' sizes and stack, its ports, its passwords."""

from __future__ import annotations

import os
import secrets
import socket
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pydantic import TypeAdapter

from cloud.plan import Paths, Plan, Stack
from common.errors import Conflict, NotFound

FILE = "cloud.json"


@dataclass(frozen=True)
class State:
    """One cloud; written once, when it is made."""

    name: str
    hypervisors: int  # of the first zone
    gateways: int
    ports: dict[str, int]  # of the APIs, on the host's loopback
    database_passwords: dict[str, str]  # by service
    broker_password: str
    more_zones: tuple[tuple[int, int], ...] = ()  # as in Plan
    stack: Stack = Stack.DUAL  # that zones start with: both, so that a tour shows them side by side

    @cached_property
    def plan(self) -> Plan:
        return Plan(self.name, self.hypervisors, self.gateways, self.more_zones)

    @property
    def apis(self) -> dict[str, str]:
        """Base URLs by service."""
        return {service: f"http://127.0.0.1:{port}" for service, port in self.ports.items()}


class Damaged(Conflict):
    """What is remembered of the cloud cannot be read."""

    code = "cloud.damaged"


_ADAPTER = TypeAdapter(State)


def create(plan: Plan, stack: Stack = Stack.DUAL) -> State:
    """A new cloud's state, not yet saved."""
    ipam, placement = free_ports(2)
    return State(
        name=plan.name,
        hypervisors=plan.hypervisor_count,
        gateways=plan.gateway_count,
        ports={"ipam": ipam, "placement": placement},
        database_passwords={service: secrets.token_hex(16) for service in ("ipam", "placement")},
        broker_password=secrets.token_hex(16),
        more_zones=plan.more_zones,
        stack=stack,
    )


def free_ports(count: int) -> list[int]:
    """Ports of the loopback that nobody listens on now."""
    held = [socket.socket(socket.AF_INET) for _ in range(count)]
    try:
        for each in held:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in held]
    finally:
        for each in held:
            each.close()


def save(state: State) -> None:
    """Whole or not at all, for its owner alone."""
    path = _file(state.plan.paths)
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(_ADAPTER.dump_json(state, indent=1, exclude_defaults=True))
    fresh.replace(path)


def find(name: str) -> State | None:
    """Raises Invalid for an impossible name, Damaged when the file makes no sense."""
    path = _file(Plan(name).paths)
    if not path.exists():
        return None
    try:
        return _ADAPTER.validate_json(path.read_bytes())
    except ValueError as error:
        raise Damaged(f"{path} is damaged; remove the cloud with: godwit cloud down {name}") from error


def load(name: str) -> State:
    """Raises NotFound, Invalid, Damaged."""
    state = find(name)
    if state is None:
        raise NotFound(f"there is no cloud {name}; make it with: godwit cloud up {name}")
    return state


def names() -> list[str]:
    """Clouds whose state is on this host."""
    root = Paths.of("x").data.parent
    return sorted(file.parent.name for file in root.glob(f"*/{FILE}"))


def _file(paths: Paths) -> Path:
    return paths.data / FILE
