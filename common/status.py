"""What a service tells of itself to whoever looks after it: versions, clock, broker, what has waited for longest."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import text

from common import VERSION, migrate
from common.db import Transaction
from common.metrics import OLDEST_OPERATION, of_operations
from common.tables import OperationColumns
from common.wire import Oldest


def common_facts(tx: Transaction, service: str, table: type[OperationColumns], *, broker: bool) -> dict[str, Any]:
    """The fields of `wire.Status`."""
    ages = of_operations(tx, table, service)[OLDEST_OPERATION]
    return {
        "version": VERSION,
        "schema_is": tx.session.scalars(text("SELECT version_num FROM alembic_version")).one(),
        "schema_wanted": migrate.newest(service),
        "at": datetime.now(UTC),
        "broker": broker,
        "oldest": [Oldest(kind=kind, age_s=age) for (_, kind), age in sorted(ages.items())],
    }
