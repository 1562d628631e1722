"""An agent's settings: environment variables `GODWIT_NETAGENT_*`."""

from __future__ import annotations

import enum
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated
from uuid import UUID

from pydantic import BeforeValidator
from pydantic_settings import NoDecode, SettingsConfigDict

from common.settings import Settings


class Role(enum.StrEnum):
    """Which tables a node has."""

    HYPERVISOR = "hypervisor"
    GATEWAY = "gateway"
    EDGE = "edge"


def _split(value: object) -> object:
    return [part for part in value.split(",") if part] if isinstance(value, str) else value


class AgentSettings(Settings):
    """Links are named as in the agent's network namespace; lists are separated by commas."""

    model_config = SettingsConfigDict(env_prefix="GODWIT_NETAGENT_")

    node: UUID
    name: str
    role: Role
    state_directory: Path  # the checkpoint: survives a reboot
    pin_directory: Path | None = None  # on bpffs; hypervisors and gateways
    build_directory: Path | None = None  # compiled BPF programs
    guest_socket: Path | None = None  # of the guest helper; hypervisors
    listen: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]  # e.g. tcp:172.30.0.11:8443
    certificate: Path
    certificate_key: Path
    controller_ca: Path
    issuer_keys: Path  # directory of public keys whose tokens are trusted
    public_link: str = ""  # gateways
    private_link: str = ""
    vxlan_link: str = "vx0"
    host_prefixes: Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode, BeforeValidator(_split)] = ()
    """Fabric and management, which no guest may send to."""
    verify_seconds: float = 10.0
    show_drift_seconds: float = 1.5
    """How long drift stays to be seen before it is mended, unless it is asked for earlier."""
