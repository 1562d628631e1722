"""Connections that their server closed while nobody used them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import text

from common import db
from common.db import Database, DatabaseUnavailable
from tests.functional.postgres import Server

CLOSE = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}'"


@pytest.fixture
def database(placement_database: str) -> Iterator[Database]:
    opened = Database(placement_database, lambda *_: None, pool_size=3)
    yield opened
    opened.close()


def ask(database: Database) -> int:
    with database.transaction() as tx:
        answer: int = tx.session.scalars(text("SELECT 7")).one()
        return answer


def close_all(database: Database, server: Server) -> None:
    """Three connections are in the pool, and the server closes them."""
    with database.transaction() as one, database.transaction() as two, database.transaction() as three:
        for tx in (one, two, three):
            tx.session.execute(text("SELECT 1"))
    server.execute(CLOSE.format(database.engine.url.database))


def test_idle_connections_that_were_closed_are_replaced_unnoticed(
    database: Database, postgres_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    close_all(database, postgres_server)
    monkeypatch.setattr(db, "TRIED_AFTER_S", 0.0)
    assert [ask(database) for _ in range(4)] == [7] * 4


def test_a_connection_that_was_closed_in_use_costs_one_request_its_answer(
    database: Database, postgres_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    close_all(database, postgres_server)
    monkeypatch.setattr(db, "TRIED_AFTER_S", 60.0)
    with pytest.raises(DatabaseUnavailable):
        ask(database)
    assert [ask(database) for _ in range(4)] == [7] * 4
