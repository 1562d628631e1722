"""Taking a backup while everything runs, and restoring one while the services are stopped."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg

from backup import archive
from backup.archive import FORMAT, Dump, Manifest
from backup.postgres import Database
from common import VERSION, migrate
from common.errors import Conflict

ORDER = ("placement", "ipam")
"""The controller first: its copy may lag behind the ledger, as it does every day; it may not be ahead of it."""

Progress = Callable[[str], None]


class NotMigrated(Conflict):
    """There is nothing to back up: the services never ran on this database."""

    code = "backup.not_migrated"


class ServicesRun(Conflict):
    """Somebody is connected to the database, and would go on with what it was."""

    code = "restore.services_run"


class NotEmpty(Conflict):
    """The database holds something."""

    code = "restore.not_empty"


class SchemaDiffers(Conflict):
    """The tables of the backup belong elsewhere than this database's service looks for them."""

    code = "restore.schema"


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore did: of when, and the incarnation that the database now is."""

    made_at: datetime
    epoch: int
    revisions: dict[str, str]  # by service, those of the backup; the newest are in place


def take(urls: Mapping[str, str], path: Path, progress: Progress) -> tuple[Path, Manifest]:
    """Back up both databases into one file, as they are within the same few milliseconds. Nobody is held up.

    Raises BackupExists, BackupUnreadable, NotMigrated, DatabaseUnavailable, ToolFailed, ToolMissing.
    """
    at = datetime.now(UTC)
    file = archive.target(path, at)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="godwit-backup-")))
        databases = {service: Database.of(service, urls[service]) for service in ORDER}
        held = {service: stack.enter_context(database.connection()) for service, database in databases.items()}
        snapshots = {}
        for service, connection in held.items():
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            snapshots[service] = str(_one(connection, "SELECT pg_export_snapshot()"))
        dumps = {}
        for service, connection in held.items():
            progress(f"dumping {service}")
            schema, head = str(_one(connection, "SELECT current_schema()")), _head(service, connection)
            dump = folder / f"{service}.dump"
            databases[service].dump(dump, snapshots[service], schema)
            dumps[service] = Dump(
                file=dump.name,
                sha256=archive.digest(dump),
                size_bytes=dump.stat().st_size,
                head=head,
                schema_name=schema,
            )
        manifest = Manifest(
            format=FORMAT,
            godwit=VERSION,
            made_at=at,
            epoch=_one(held["placement"], "SELECT epoch FROM incarnation"),
            postgres=str(_one(held["placement"], "SHOW server_version")),
            databases=dumps,
        )
        archive.write(file, manifest, folder)
    return file, manifest


def restore(urls: Mapping[str, str], path: Path, progress: Progress, *, replace: bool) -> Restored:
    """Put both databases back to what a backup holds, as a new incarnation; all of it or nothing.

    Afterwards nothing counts as known of the nodes: each is asked what it holds before it is told anything. Nor does
    the ledger believe that an address is realised before it is read back again. Raises BackupUnreadable,
    BackupDamaged, BackupVersion, ServicesRun, NotEmpty, SchemaDiffers, DatabaseUnavailable, ToolFailed, ToolMissing.
    """
    known = {service: migrate.revisions(service) for service in ORDER}
    with archive.opened(path, known) as backup:
        databases = {service: Database.of(service, urls[service]) for service in ORDER}
        epochs = [backup.manifest.epoch]
        for service, database in databases.items():
            with database.connection() as connection:
                _check(service, connection, backup.manifest.databases[service], replace=replace)
                if service == "placement" and _has(connection, "incarnation"):
                    epochs.append(_one(connection, "SELECT epoch FROM incarnation"))
        # Seconds since 1970 are above every number counted up from 1, and above that of any earlier restore: agents
        # may have seen one that neither the backup nor the database of today knows.
        epoch = max(*epochs, int(datetime.now(UTC).timestamp())) + 1
        with ExitStack() as stack:
            changes = {service: stack.enter_context(database.change()) for service, database in databases.items()}
            for service, change in changes.items():
                progress(f"restoring {service}")
                schema = backup.manifest.databases[service].schema_name
                change.run(_EMPTY.format(schema=schema))
                change.restore(backup.dumps[service])
                change.run(_AFTER[service].format(schema=schema, epoch=epoch))
                change.finish()
            for change in changes.values():
                change.commit()
    progress("schema migrations")
    for service in ORDER:
        migrate.upgrade(service, urls[service])
    heads = {service: dump.head for service, dump in backup.manifest.databases.items()}
    return Restored(backup.manifest.made_at, epoch, dict(heads))


_EMPTY = """
DO $$ DECLARE found text; BEGIN
  FOR found IN SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname = '{schema}' LOOP
    EXECUTE 'DROP TABLE ' || found || ' CASCADE';
  END LOOP;
END $$;
"""
_AFTER = {
    "placement": """
UPDATE {schema}.incarnation SET epoch = {epoch};
UPDATE {schema}.node SET generation = generation + 1, applied_generation = 0, refusal = NULL;
UPDATE {schema}.port SET reported_revision = 0;
DELETE FROM {schema}.heartbeat;
""",
    "ipam": "UPDATE {schema}.target SET realized_revision = 0;",
}
"""Columns that every revision since the first has."""


def _check(service: str, connection: psycopg.Connection[Any], dump: Dump, *, replace: bool) -> None:
    others = _one(
        connection,
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND usename = current_user"
        " AND pid <> pg_backend_pid() AND backend_type = 'client backend'",
    )
    if others:
        raise ServicesRun(
            f"{others} connections of {service} are open: stop its services first; on a cloud of ours --stop does it"
        )
    schema = _one(connection, "SELECT current_schema()")
    if schema != dump.schema_name:
        raise SchemaDiffers(f"{service} has its tables in {schema}, the backup in {dump.schema_name}")
    if not replace and _one(connection, "SELECT count(*) FROM pg_tables WHERE schemaname = current_schema()"):
        raise NotEmpty(f"the database of {service} is not empty; --replace drops what it holds")


def _head(service: str, connection: psycopg.Connection[Any]) -> str:
    if not _has(connection, "alembic_version"):
        raise NotMigrated(f"the database of {service} holds nothing of ours")
    return str(_one(connection, "SELECT version_num FROM alembic_version"))


def _has(connection: psycopg.Connection[Any], table: str) -> bool:
    return bool(_one(connection, f"SELECT to_regclass('{table}') IS NOT NULL"))


def _one(connection: psycopg.Connection[Any], query: str) -> Any:
    row = connection.execute(query.encode()).fetchone()
    return row[0] if row else None
