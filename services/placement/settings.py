"""The controller's settings: environment variables `GODWIT_PLACEMENT_*`."""

from __future__ import annotations

from pathlib import Path

from pydantic_settings import SettingsConfigDict

from common.settings import Listen, Metrics, Settings


class PlacementSettings(Settings):
    """One set for the API, the worker, the beat and the poller."""

    model_config = SettingsConfigDict(env_prefix="GODWIT_PLACEMENT_")

    database_url: str
    broker_url: str
    ipam_url: str
    issuer_keys: Path  # directory of public keys whose tokens are trusted
    signing_key: Path  # private key of the controller's own tokens
    certificate: Path  # shown to agents
    certificate_key: Path
    node_ca: Path  # the authority of the agents' certificates
    archive_url: str = "file:///var/lib/godwit/archives"  # as fsspec knows it; a root of every hypervisor's agent too
    listen: Listen = ("tcp:127.0.0.1:8002",)
    metrics: Metrics = None
    worker_threads: int = 8
    poll_seconds: float = 1.0
    sweep_seconds: float = 5.0
