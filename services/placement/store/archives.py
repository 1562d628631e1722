"""Disks in an object store: which port each is of, and those that are no port's any more."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID, uuid4

from sqlalchemy import and_, delete, func, or_, select, update

from common.db import Transaction
from services.netagent.wire import DiskArchive
from services.placement.model import Port, StoredDisk

ABANDONED_AFTER = timedelta(hours=1)  # an upload that nobody waits for may still be under way


def of_port(tx: Transaction, port_id: UUID) -> StoredDisk | None:
    return tx.session.scalars(select(StoredDisk).where(StoredDisk.port_id == port_id)).one_or_none()


def of_ports(tx: Transaction, port_ids: Sequence[UUID]) -> dict[UUID, StoredDisk]:
    rows = tx.session.scalars(select(StoredDisk).where(StoredDisk.port_id.in_(port_ids)))
    return {row.port_id: row for row in rows if row.port_id is not None}


def begin(tx: Transaction, of: Port, root: str) -> None:
    """The port's disk is to lie under `root`, by a name that is this stop's alone."""
    release(tx, [of.id])
    made = uuid4()
    url = f"{root.rstrip('/')}/{of.target_id}/{made}.tar"
    tx.session.add(StoredDisk(id=made, port_id=of.id, zone=of.instance.zone, url=url))
    tx.session.flush()


def complete(tx: Transaction, port_id: UUID, stored: DiskArchive) -> None:
    """The port's disk lies there, whole."""
    values = {"digest": stored.digest, "size_bytes": stored.size_bytes, "left_out": stored.left_out}
    tx.session.execute(update(StoredDisk).where(StoredDisk.port_id == port_id).values(values))


def release(tx: Transaction, port_ids: Sequence[UUID]) -> bool:
    """What these ports have in a store is theirs no more; whether there was anything."""
    query = update(StoredDisk).where(StoredDisk.port_id.in_(port_ids)).values(port_id=None)
    return bool(tx.session.scalars(query.returning(StoredDisk.id)).all())


def unreferenced(tx: Transaction) -> Sequence[StoredDisk]:
    """No port's: they may go. One that never got whole is left alone for a while."""
    old = StoredDisk.created_at < func.now() - ABANDONED_AFTER
    query = select(StoredDisk).where(and_(StoredDisk.port_id.is_(None), or_(StoredDisk.digest.is_not(None), old)))
    return tx.session.scalars(query.order_by(StoredDisk.id)).all()


def forget(tx: Transaction, archive_id: UUID) -> None:
    tx.session.execute(delete(StoredDisk).where(StoredDisk.id == archive_id))
