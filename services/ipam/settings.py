"""What the ledger's process reads from its environment."""

from __future__ import annotations

from pathlib import Path

from pydantic_settings import SettingsConfigDict

from common.settings import Listen, Metrics, Settings as Base


class Settings(Base):
    """`GODWIT_IPAM_…`."""

    model_config = SettingsConfigDict(env_prefix="GODWIT_IPAM_")

    database_url: str
    """As SQLAlchemy knows it: `postgresql+psycopg://…`. The role has a schema of its own."""
    broker_url: str
    """Redis, for wake-ups: `redis://…`."""
    issuer_keys: Path
    """Directory of the public keys whose tokens are trusted (`<kid>.pem`)."""
    listen: Listen = ("tcp:127.0.0.1:8101",)
    """Where the API listens: each `tcp:HOST:PORT`, `unix:PATH` or `fd:N`."""
    metrics: Metrics = None
    """Where it tells its metrics: `tcp:HOST:PORT`. Who reaches it is asked for no token."""
    pool_size: int = 20
    """Connections to the database."""
