"""PostgreSQL: engine, transactions, and the wake-ups that a commit sends.

A `Transaction` is one database session plus the doorbells to ring after `commit` returned. SQLAlchemy's `after_commit`
is not used for them: it also fires when a SAVEPOINT is released.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Engine,
    TableValuedAlias,
    bindparam,
    column,
    create_engine,
    event,
    exc,
    func,
)
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.orm import InstrumentedAttribute, Session
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.types import TypeEngine

from common.errors import Unavailable

TRIED_AFTER_S = 1.0

Ring = Callable[[str, tuple[str, ...]], None]
"""Sends one wake-up: a task's name and the names it carries. Never raises: a lost wake-up costs latency alone."""


class DatabaseUnavailable(Unavailable):
    """The database does not answer; the same request may be sent again."""

    code = "database.unavailable"


class Contended(Unavailable):
    """Two requests met in the database and this one gave way; send it again."""

    code = "database.contended"


@dataclass
class Transaction:
    """One unit of work: `session` to query and write with, `ring` to wake others once it is committed."""

    session: Session
    _bells: dict[tuple[str, tuple[str, ...]], None] = field(default_factory=dict)

    def ring(self, name: str, *names: str) -> None:
        """Wake task `name` after commit; the same bell twice rings once."""
        self._bells[(name, names)] = None

    def bells(self) -> list[tuple[str, tuple[str, ...]]]:
        return list(self._bells)


class Database:
    """Opens transactions on one PostgreSQL role and schema."""

    def __init__(self, url: str, ring: Ring, pool_size: int = 10) -> None:
        self.engine = create_engine(url, pool_size=pool_size, max_overflow=pool_size)
        _try_idle(self.engine)
        self._ring = ring

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Commit on leaving, then ring; roll back when the block raises. Raises DatabaseUnavailable, Contended."""
        try:
            with Session(self.engine, expire_on_commit=False) as session:
                tx = Transaction(session)
                yield tx
                session.commit()
        except exc.OperationalError as error:
            if getattr(error.orig, "sqlstate", None) in {"40001", "40P01", "55P03"}:
                raise Contended("two requests met in the database; send this one again") from error
            raise DatabaseUnavailable("the database does not answer; send the request again") from error
        except (exc.InterfaceError, exc.TimeoutError) as error:  # no answer, or no free connection in time
            raise DatabaseUnavailable("the database does not answer; send the request again") from error
        for name, names in tx.bells():
            self._ring(name, names)

    def close(self) -> None:
        self.engine.dispose()


def _try_idle(engine: Engine) -> None:
    """A connection that nobody used for a while is tried before somebody does: the server may have been restarted.

    `pool_pre_ping` would try each before every transaction: a round trip more for all of them.
    """

    def checkin(_connection: DBAPIConnection | None, record: ConnectionPoolEntry) -> None:
        record.info["idle_since"] = time.monotonic()

    def checkout(connection: DBAPIConnection, record: ConnectionPoolEntry, _proxy: object) -> None:
        if time.monotonic() - record.info.get("idle_since", time.monotonic()) < TRIED_AFTER_S:
            return
        try:
            engine.dialect.do_ping(connection)
        except engine.dialect.loaded_dbapi.Error as error:
            raise exc.InvalidatePoolError from error  # the pool connects anew

    event.listen(engine, "checkin", checkin)
    event.listen(engine, "checkout", checkout)


def violated(error: exc.IntegrityError) -> str | None:
    """The name of the constraint that refused the write: where uniqueness lives."""
    diagnostics: Any = getattr(error.orig, "diag", None)
    return diagnostics.constraint_name if diagnostics is not None else None


# --- many values in one parameter ------------------------------------------------------------------------------------
# An IN or a VALUES list names each of them: a statement for every count, parsed anew each time, and 65,535 at most.


def among(of: InstrumentedAttribute[Any], values: Collection[Any]) -> ColumnElement[bool]:
    """`of` is one of `values`."""
    return of == func.any(bindparam(None, list(values), ARRAY(of.type)))


def table(**columns: tuple[type[TypeEngine[Any]], Sequence[Any]]) -> TableValuedAlias:
    """A table of these columns, each of a type and with its values from the first row to the last."""
    arrays = [bindparam(None, list(values), ARRAY(kind)) for kind, values in columns.values()]
    named = [column(name, kind) for name, (kind, _) in columns.items()]
    return func.unnest(*arrays).table_valued(*named).render_derived()
