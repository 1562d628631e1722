"""Zones, pools, prefixes, and the queue of free addresses."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, Update, and_, cast, delete, func, literal, or_, select, true, update
from sqlalchemy.dialects.postgresql import ARRAY, CIDR, insert
from sqlalchemy.orm import selectinload

from common.db import Contended, Transaction
from services.ipam.model import Cidr, FlexibleIP, Pool, Prefix, Quota, Supply, Zone, new_id

Key = tuple[Any, ...] | None
"""Where a page starts: what the list is ordered by, of the item before it."""

WAITING_TRIES = 100

ALWAYS = datetime(2000, 1, 1, tzinfo=UTC)
"""`available_at` of an address nobody held yet: before any that was released."""


def zone(tx: Transaction, name: str) -> Zone | None:
    return tx.session.get(Zone, name)


def lock_zone(tx: Transaction, name: str) -> Zone | None:
    return tx.session.scalar(select(Zone).where(Zone.name == name).with_for_update())


def zones(tx: Transaction, limit: int, after: Key) -> Sequence[Zone]:
    query = select(Zone).order_by(Zone.name).limit(limit)
    if after is not None:
        query = query.where(Zone.name > after[0])
    return tx.session.scalars(query).all()


def pool(tx: Transaction, pool_id: UUID) -> Pool | None:
    return tx.session.scalar(select(Pool).where(Pool.id == pool_id).options(selectinload(Pool.prefixes)))


def lock_pool(tx: Transaction, pool_id: UUID) -> Pool | None:
    query = select(Pool).where(Pool.id == pool_id).options(selectinload(Pool.prefixes)).with_for_update()
    return tx.session.scalar(query.execution_options(populate_existing=True))


def pools(
    tx: Transaction, limit: int, after: Key, zone: str | None, family: str | None, name: str | None
) -> Sequence[Pool]:
    query = select(Pool).order_by(Pool.id).limit(limit).options(selectinload(Pool.prefixes))
    if after is not None:
        query = query.where(Pool.id > after[0])
    for column, value in ((Pool.zone, zone), (Pool.family, family), (Pool.name, name)):
        if value is not None:
            query = query.where(column == value)
    return tx.session.scalars(query).all()


def pools_in_use(tx: Transaction) -> list[tuple[Pool, int]]:
    """Every pool with its prefixes, and how many of its units are held or rest."""
    held = or_(FlexibleIP.released_at.is_(None), FlexibleIP.quarantined_until > func.now())
    counts = select(FlexibleIP.pool_id, func.count()).where(held, FlexibleIP.pool_id.is_not(None))
    used = {row[0]: row[1] for row in tx.session.execute(counts.group_by(FlexibleIP.pool_id))}
    found = tx.session.scalars(select(Pool).options(selectinload(Pool.prefixes)).order_by(Pool.zone, Pool.name))
    return [(pool, used.get(pool.id, 0)) for pool in found]


def pools_to_reserve_from(tx: Transaction, zone: str, family: str, name: str | None) -> Sequence[Pool]:
    """In the order they are tried: the first that was made is used up first."""
    query = select(Pool).where(Pool.zone == zone, Pool.family == family).order_by(Pool.id)
    if name is not None:
        query = query.where(Pool.name == name)
    return tx.session.scalars(query).all()


def prefix_overlapping(tx: Transaction, cidrs: Collection[str]) -> tuple[str, Prefix] | None:
    """One of `cidrs` that overlaps a prefix, and that prefix."""
    wanted = _rows(cidrs)
    query = select(wanted, Prefix).where(Prefix.cidr.bool_op("&&")(wanted)).limit(1)
    found = tx.session.execute(query).first()
    return None if found is None else (found[0], found[1])


def forget_rested(tx: Transaction, cidrs: Collection[str]) -> None:
    """Let go of the carried prefixes that overlap any of `cidrs` and whose quarantine is over."""
    carried = select(Prefix.id).where(Prefix.pool_id.is_(None), Prefix.cidr.bool_op("&&")(_rows(cidrs)))
    rested = delete(Supply).where(Supply.prefix_id.in_(carried), Supply.free, Supply.available_at <= func.now())
    gone = tx.session.scalars(rested.returning(Supply.prefix_id)).all()
    if gone:
        tx.session.execute(delete(Prefix).where(Prefix.id.in_(gone)))


def add_carried(tx: Transaction, cidrs: Iterable[str]) -> None:
    """Let `cidrs` be held, and in no pool. The database refuses what overlaps a prefix: `prefix_overlap`."""
    prefixes = [Prefix(id=new_id(), cidr=cidr) for cidr in cidrs]
    tx.session.add_all(prefixes)
    tx.session.flush()
    tx.session.add_all(
        Supply(address=prefix.cidr, prefix_id=prefix.id, free=False, available_at=ALWAYS) for prefix in prefixes
    )


def _rows(cidrs: Collection[str]) -> ColumnElement[str]:
    return func.unnest(cast(list(cidrs), ARRAY(CIDR)), type_=Cidr).column_valued("wanted")


def prefix_holding(tx: Transaction, pools: Iterable[Pool], address: str) -> Prefix | None:
    """The prefix of one of `pools` that contains `address`."""
    ids = [pool.id for pool in pools]
    query = select(Prefix).where(Prefix.pool_id.in_(ids), Prefix.cidr.op(">>=")(literal(address, Cidr)))
    return tx.session.scalar(query)


def prefixes_of(tx: Transaction, pool_id: UUID) -> Sequence[Prefix]:
    return tx.session.scalars(select(Prefix).where(Prefix.pool_id == pool_id).order_by(Prefix.id)).all()


def prefix_page(tx: Transaction, pool_id: UUID, limit: int, after: Key) -> Sequence[Prefix]:
    query = select(Prefix).where(Prefix.pool_id == pool_id).order_by(Prefix.id).limit(limit)
    if after is not None:
        query = query.where(Prefix.id > after[0])
    return tx.session.scalars(query).all()


def lock_prefix(tx: Transaction, pool_id: UUID, prefix_id: UUID) -> Prefix | None:
    return tx.session.scalar(select(Prefix).where(Prefix.pool_id == pool_id, Prefix.id == prefix_id).with_for_update())


def prefix_in_use(tx: Transaction, prefix_id: UUID) -> bool:
    """Whether any of its addresses is held or rests. Locks the rows: none can be claimed until the transaction ends."""
    rows = tx.session.execute(
        select(Supply.free, Supply.available_at > func.now()).where(Supply.prefix_id == prefix_id).with_for_update()
    )
    return any(not free or rests for free, rests in rows)


def delete_prefix(tx: Transaction, prefix: Prefix) -> None:
    tx.session.execute(delete(Supply).where(Supply.prefix_id == prefix.id))
    tx.session.delete(prefix)
    tx.session.flush()


# --- claiming --------------------------------------------------------------------------------------------------------


def next_free(pool_id: UUID) -> Select[str]:
    """The head of a pool's queue, locked; what others are claiming counts as gone."""
    return (
        select(Supply.address)
        .where(Supply.pool_id == pool_id, Supply.free, Supply.available_at <= func.now())
        .order_by(Supply.available_at, Supply.free_seq)
        .limit(1)
        .with_for_update(skip_locked=True)
    )


def claim_statement(pool_id: UUID) -> Update:
    head = next_free(pool_id).cte("head").prefix_with("MATERIALIZED", dialect="postgresql")
    return update(Supply).where(Supply.address == head.c.address).values(free=False).returning(Supply.address)


def claim_any(tx: Transaction, pool_id: UUID) -> str | None:
    """Take the address that has been free longest; None if all that are free are locked by others, or none is."""
    statement = claim_statement(pool_id).execution_options(synchronize_session=False)
    return tx.session.execute(statement).scalar()


def claim_named(tx: Transaction, prefix: Prefix, address: str) -> bool:
    """Take one given address of `prefix`; False if it is held or rests.

    A failed try leaves no lock behind (ON CONFLICT DO UPDATE would, also where its WHERE is false), so that requests
    which try several addresses in any order cannot wait for each other in a circle.
    """
    first = insert(Supply).values(
        address=address, pool_id=prefix.pool_id, prefix_id=prefix.id, free=False, available_at=ALWAYS
    )
    first = first.on_conflict_do_nothing(index_elements=[Supply.address])
    if tx.session.execute(first.returning(Supply.address)).scalar() is not None:
        return True
    return _claim_known(tx, address)


def claim_waiting(tx: Transaction, pool_id: UUID) -> str | None:
    """Take a free address that others have locked, once they give it up; None when no free one is left at all.

    Raises Contended if others were faster each time.
    """
    head = (
        select(Supply.address)
        .where(Supply.pool_id == pool_id, Supply.free, Supply.available_at <= func.now())
        .order_by(Supply.available_at, Supply.free_seq)
        .limit(1)
    )
    for _ in range(WAITING_TRIES):
        address = tx.session.execute(head).scalar()
        if address is None or _claim_known(tx, address):
            return address
    raise Contended("others were faster each time; send the request again")


def _claim_known(tx: Transaction, address: str) -> bool:
    """Take an address that has a row, waiting for who has it locked.

    An UPDATE keeps the lock of a row that no longer fits when its wait ends; the savepoint lets go of it.
    """
    attempt = tx.session.connection().begin_nested()
    statement = (
        update(Supply)
        .where(Supply.address == address, Supply.free, Supply.available_at <= func.now())
        .values(free=False)
        .returning(Supply.address)
        .execution_options(synchronize_session=False)
    )
    if tx.session.execute(statement).scalar() is None:
        attempt.rollback()
        return False
    attempt.commit()
    return True


def supply_of(tx: Transaction, address: str) -> Supply | None:
    query = select(Supply).where(Supply.address == address)
    return tx.session.scalar(query.execution_options(populate_existing=True))


def given_of(tx: Transaction, addresses: list[str]) -> set[str]:
    """Those of `addresses` that cannot be claimed now."""
    taken = or_(~Supply.free, Supply.available_at > func.now())
    return set(tx.session.scalars(select(Supply.address).where(Supply.address.in_(addresses), taken)))


def lock_unseeded_prefix(tx: Transaction, pool_id: UUID) -> Prefix | None:
    """The first IPv4 prefix of the pool with addresses that have no row yet; who seeds the same one waits here."""
    size = func.power(2, 32 - func.masklen(Prefix.cidr))
    query = select(Prefix).where(Prefix.pool_id == pool_id, Prefix.seeded < size).order_by(Prefix.id).limit(1)
    return tx.session.scalar(query.with_for_update().execution_options(populate_existing=True))


def seed(tx: Transaction, prefix: Prefix, addresses: list[str]) -> None:
    """Put `addresses`, the next of `prefix`, at the end of the queue; those given by name already stay as they are."""
    values = select(
        func.unnest(cast(addresses, ARRAY(CIDR))), literal(prefix.pool_id), literal(prefix.id), true(), literal(ALWAYS)
    )
    statement = insert(Supply).from_select(["address", "pool_id", "prefix_id", "free", "available_at"], values)
    tx.session.execute(statement.on_conflict_do_nothing(index_elements=[Supply.address]))
    prefix.seeded += len(addresses)
    tx.session.flush()


def free(tx: Transaction, address: str, available_at: datetime) -> None:
    """Put an address at the end of the queue, to be given again from `available_at`."""
    statement = update(Supply).where(Supply.address == address)
    tx.session.execute(
        statement.values(
            free=True,
            available_at=available_at,
            free_seq=func.nextval(func.pg_get_serial_sequence("supply", "free_seq")),
        ).execution_options(synchronize_session=False)
    )


def reclaim(tx: Transaction, address: str) -> bool:
    """Take back an address that still rests; False once it may have another holder."""
    statement = (
        update(Supply)
        .where(Supply.address == address, Supply.free, Supply.available_at > func.now())
        .values(free=False)
        .returning(Supply.address)
        .execution_options(synchronize_session=False)
    )
    return tx.session.execute(statement).scalar() is not None


# --- quotas ----------------------------------------------------------------------------------------------------------


def count_against_quota(tx: Transaction, project: str, family: str, default: int) -> bool:
    """Count one more; False, and nothing counted, if the project has no room."""
    statement = insert(Quota).values(project=project, family=family, granted=default, used=1, revision=1)
    statement = statement.on_conflict_do_update(
        index_elements=[Quota.project, Quota.family],
        set_={"used": Quota.used + 1},
        where=Quota.used < Quota.granted,
    )
    return tx.session.execute(statement.returning(Quota.used)).scalar() is not None


def give_back_quota(tx: Transaction, project: str, family: str) -> None:
    statement = update(Quota).where(Quota.project == project, Quota.family == family).values(used=Quota.used - 1)
    tx.session.execute(statement.execution_options(synchronize_session=False))


def quotas(tx: Transaction, limit: int, after: Key, project: str | None) -> Sequence[Quota]:
    query = select(Quota).order_by(Quota.project, Quota.family).limit(limit)
    if after is not None:
        query = query.where(or_(Quota.project > after[0], and_(Quota.project == after[0], Quota.family > after[1])))
    if project is not None:
        query = query.where(Quota.project == project)
    return tx.session.scalars(query).all()


def lock_quota(tx: Transaction, project: str, family: str) -> Quota | None:
    query = select(Quota).where(Quota.project == project, Quota.family == family)
    return tx.session.scalar(query.with_for_update().execution_options(populate_existing=True))


def put_quota(tx: Transaction, project: str, family: str, granted: int) -> Quota:
    statement = insert(Quota).values(project=project, family=family, granted=granted, used=0, revision=1)
    statement = statement.on_conflict_do_update(
        index_elements=[Quota.project, Quota.family],
        set_={"granted": granted, "revision": Quota.revision + 1},
    )
    tx.session.execute(statement)
    query = select(Quota).where(Quota.project == project, Quota.family == family)
    return tx.session.scalars(query.execution_options(populate_existing=True)).one()
