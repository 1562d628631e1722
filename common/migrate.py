"""Applies one service's Alembic migrations, once, however many processes try at the same time."""

from __future__ import annotations

import time
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import OperationalError

ROOT = Path(__file__).resolve().parent.parent / "migrations"
GIVE_UP_S = 120.0
PAUSE_S = 1.0
LOCK_NOT_AVAILABLE = "55P03"
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


def newest(service: str) -> str:
    """The revision that the code is written for."""
    return str(ScriptDirectory(str(ROOT / service)).get_current_head())


def _to_head(config: Config, connection: Connection) -> None:
    """Raises OperationalError when others hold what a revision must lock for longer than GIVE_UP_S."""
    ends = time.monotonic() + GIVE_UP_S
    while True:
        try:
            command.upgrade(config, "head")
            return
        except OperationalError as error:
            connection.rollback()
            if getattr(error.orig, "sqlstate", None) != LOCK_NOT_AVAILABLE or time.monotonic() > ends:
                raise
        time.sleep(PAUSE_S)  # in which those go on who queued behind us


def upgrade(service: str, url: str) -> None:
    """Bring the schema of `service` to the newest version. Two first boots at once are normal: the second waits."""
    engine = create_engine(url)
    with engine.connect() as connection:
        connection.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": LOCK})
        connection.commit()
        try:
            config = alembic_config(service, url)
            config.attributes["connection"] = connection
            _to_head(config, connection)
        finally:
            connection.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": LOCK})
            connection.commit()
    engine.dispose()
