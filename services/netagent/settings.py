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
    """Its id in the controller."""
    name: str
    """Its name there."""
    role: Role
    """hypervisor, gateway or edge."""
    state_directory: Path
    """The checkpoint: survives a reboot."""
    pin_directory: Path | None = None
    """On bpffs; hypervisors and gateways."""
    build_directory: Path | None = None
    """Compiled BPF programs."""
    guest_socket: Path | None = None
    """Of the guest helper; hypervisors."""
    disk_directory: Path | None = None
    """Of guests, shared with other hypervisors or not; hypervisors."""
    archive_roots: Annotated[tuple[str, ...], NoDecode, BeforeValidator(by_commas)] = ()
    """URLs, as fsspec knows them, under which disks are archived; of what else a store needs, fsspec is told by its own
    environment."""
    listen: Listen
    """Where controllers reach it, for example `tcp:172.30.0.11:8443`."""
    metrics: Metrics = None
    """Where it tells its metrics: `tcp:HOST:PORT`. Who reaches it is asked for no token."""
    certificate: Path
    """Shown to controllers, as `node/<id>`."""
    certificate_key: Path
    """Its private key."""
    controller_ca: Path
    """The authority of the controllers' certificates: orders of nobody else are taken."""
    issuer_keys: Path
    """Directory of the public keys whose tokens are trusted (`<kid>.pem`)."""
    public_link: str = ""
    """Towards the internet; gateways."""
    private_link: str = ""
    """Towards the hypervisors; gateways."""
    vxlan_link: str = "vx0"
    """By which a guest that moves is reached at its destination; hypervisors."""
    host_prefixes: Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode, BeforeValidator(by_commas)] = ()
    """Fabric and management, which no guest may send to."""
    probe_source: IPv4Address | None = None
    """Where the zone's health checks come from: the edge's own, and the only one of the hosts that guests answer."""
    probe_source_ipv6: IPv6Address | None = None
    """The same in IPv6."""
    verify_seconds: float = 10.0
    """Between two comparisons of all that the kernel holds with what it is to hold."""

    @property
    def probe_sources(self) -> tuple[IPv4Address | None, IPv6Address | None]:
        return self.probe_source, self.probe_source_ipv6
