"""The migrations make what the models say."""

from __future__ import annotations

import importlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import MetaData, create_engine, text

from common.migrate import ROOT, alembic_config, upgrade
from tests.functional import postgres

WITH_MIGRATIONS = [name for name in postgres.SERVICES if any((ROOT / name / "versions").glob("*.py"))]


def metadata_of(service: str) -> MetaData:
    found: MetaData = importlib.import_module(f"services.{service}.model").Base.metadata
    return found


def catalogue(url: str) -> dict[str, list[Any]]:
    """Columns, constraints, indexes and options of all our tables, as PostgreSQL describes them."""
    engine = create_engine(url)
    queries = {
        "columns": "SELECT table_name, column_name, data_type, is_nullable, column_default, is_identity"
        " FROM information_schema.columns WHERE table_schema = 'public'",
        "constraints": "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint"
        " WHERE connamespace = 'public'::regnamespace",
        "indexes": "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'",
        "options": "SELECT relname, reloptions FROM pg_class WHERE relnamespace = 'public'::regnamespace"
        " AND relkind = 'r'",
    }
    with engine.connect() as connection:
        found = {
            what: sorted(repr(row) for row in connection.execute(text(query)) if row[0] != "alembic_version")
            for what, query in queries.items()
        }
    engine.dispose()
    return found


@pytest.mark.parametrize("service", WITH_MIGRATIONS)
def test_an_empty_database_migrated_is_what_the_models_describe(postgres_server: postgres.Server, service: str) -> None:
    with postgres_server.database() as migrated, postgres_server.database() as made:
        upgrade(service, postgres_server.url(migrated))
        engine = create_engine(postgres_server.url(made))
        with engine.begin() as connection:
            connection.execute(text("CREATE EXTENSION IF NOT EXISTS btree_gist"))
            metadata_of(service).create_all(connection)
        engine.dispose()

        assert catalogue(postgres_server.url(migrated)) == catalogue(postgres_server.url(made))

        engine = create_engine(postgres_server.url(migrated))
        with engine.connect() as connection:
            assert compare_metadata(MigrationContext.configure(connection), metadata_of(service)) == []
        engine.dispose()


@pytest.mark.parametrize("service", WITH_MIGRATIONS)
def test_migrations_go_back_to_nothing(postgres_server: postgres.Server, service: str) -> None:
    with postgres_server.database() as name:
        url = postgres_server.url(name)
        upgrade(service, url)
        engine = create_engine(url)
        with engine.connect() as connection:
            config = alembic_config(service, url)
            config.attributes["connection"] = connection
            command.downgrade(config, "base")
        engine.dispose()

        assert catalogue(url) == {"columns": [], "constraints": [], "indexes": [], "options": []}


@pytest.mark.parametrize("service", WITH_MIGRATIONS)
def test_two_first_boots_at_once_are_normal(postgres_server: postgres.Server, service: str) -> None:
    """N = 4."""
    with postgres_server.database() as name, ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: upgrade(service, postgres_server.url(name)), range(4)))

        assert catalogue(postgres_server.url(name))["columns"]
