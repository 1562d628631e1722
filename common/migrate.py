"""Applies one service's Alembic migrations, once, however many processes try at the same time."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, text

ROOT = Path(__file__).resolve().parent.parent / "migrations"
LOCK = 0x476F6477  # "Godw": one advisory lock for all schema changes of a database


def alembic_config(service: str, url: str) -> Config:
    config = Config()
    config.set_main_option("script_location", str(ROOT / service))
    config.attributes["url"] = url
    return config


def revisions(service: str) -> frozenset[str]:
    """All revisions of `service` that there are."""
    script = ScriptDirectory(str(ROOT / service))
    return frozenset(revision.revision for revision in script.walk_revisions())


def upgrade(service: str, url: str) -> None:
    """Bring the schema of `service` to the newest version. Two first boots at once are normal: the second waits."""
    engine = create_engine(url)
    with engine.connect() as connection:
        connection.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": LOCK})
        connection.commit()
        try:
            config = alembic_config(service, url)
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
        finally:
            connection.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": LOCK})
            connection.commit()
    engine.dispose()
