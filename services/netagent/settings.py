"""An agent's settings: environment variables `GODWIT_NETAGENT_*`."""

from __future__ import annotations

import enum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import Path
from typing import Annotated
from uuid import UUID

from pydantic import BeforeValidator
from pydantic_settings import NoDecode, SettingsConfigDict

from common.settings import Listen, Metrics, Settings, by_commas


class Role(enum.StrEnum):
    """Which tables a node has."""

    HYPERVISOR = "hypervisor"
    GATEWAY = "gateway"
    EDGE = "edge"


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
    disk_directory: Path | None = None  # of guests, shared with other hypervisors or not; hypervisors
    archive_roots: Annotated[tuple[str, ...], NoDecode, BeforeValidator(by_commas)] = ()
    """URLs, as fsspec knows them, under which disks are archived; of what else a store needs, fsspec is told by its own
    environment."""
    listen: Listen  # e.g. tcp:172.30.0.11:8443
    metrics: Metrics = None
    certificate: Path
    certificate_key: Path
    controller_ca: Path
    issuer_keys: Path  # directory of public keys whose tokens are trusted
    public_link: str = ""  # gateways
    private_link: str = ""
    vxlan_link: str = "vx0"
    host_prefixes: Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode, BeforeValidator(by_commas)] = ()
    """Fabric and management, which no guest may send to."""
    probe_source: IPv4Address | None = None
    probe_source_ipv6: IPv6Address | None = None
    """Where the zone's health checks come from: the edge's own, and the only ones of the hosts that guests answer."""
    verify_seconds: float = 10.0

    @property
    def probe_sources(self) -> tuple[IPv4Address | None, IPv6Address | None]:
        return self.probe_source, self.probe_source_ipv6
