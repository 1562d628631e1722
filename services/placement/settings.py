"""The controller's settings: environment variables `GODWIT_PLACEMENT_*`."""

from __future__ import annotations

from pathlib import Path

from pydantic_settings import SettingsConfigDict

from common.settings import Listen, Metrics, Settings


class PlacementSettings(Settings):
    """One set for the API, the worker, the beat and the poller."""

    model_config = SettingsConfigDict(env_prefix="GODWIT_PLACEMENT_")

    database_url: str
    """As SQLAlchemy knows it: `postgresql+psycopg://…`. The role has a schema of its own."""
    broker_url: str
    """Redis, for wake-ups: `redis://…`."""
    ipam_url: str
    """Base URL of the ledger."""
    issuer_keys: Path
    """Directory of the public keys whose tokens are trusted (`<kid>.pem`)."""
    signing_key: Path
    """Private key of the controller's own tokens; its public one is an issuer key of ledger and agents."""
    certificate: Path
    """Shown to agents."""
    certificate_key: Path
    """Its private key."""
    node_ca: Path
    """The authority of the agents' certificates."""
    archive_url: str = "file:///var/lib/godwit/archives"
    """Where stopped guests' disks lie, as fsspec knows it; a root of every hypervisor's agent too."""
    listen: Listen = ("tcp:127.0.0.1:8002",)
    """Where the API listens: each `tcp:HOST:PORT`, `unix:PATH` or `fd:N`."""
    metrics: Metrics = None
    """Where the process tells its metrics: `tcp:HOST:PORT`. Who reaches it is asked for no token."""
    worker_threads: int = 8
    """Tasks that a worker works on at once."""
    poll_seconds: float = 1.0
    """Between two polls of an agent; stretched with the fleet."""
    sweep_seconds: float = 5.0
    """Between two passes that find what wake-ups missed."""
