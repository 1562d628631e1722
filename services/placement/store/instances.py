"""Flavours, instances, their ports and addresses."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from ipaddress import ip_network
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, and_, case, delete, exists, or_, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert

from common.db import Transaction, among
from services.ipam.wire import TargetAddress
from services.placement.model import (
    AddressSequence,
    Claim,
    Flavor,
    Instance,
    NodeAddress,
    Port,
    PortAddress,
    Prefix,
)
from services.placement.snapshot import Sequenced

Key = tuple[Any, ...] | None
"""What a list is ordered by, of the last row of the page before."""


def flavor(tx: Transaction, name: str) -> Flavor | None:
    return tx.session.scalars(select(Flavor).where(Flavor.name == name)).one_or_none()


def flavors(tx: Transaction, limit: int, after: Key) -> list[Flavor]:
    query = select(Flavor).order_by(Flavor.name).limit(limit)
    return list(tx.session.scalars(query.where(Flavor.name > after[0]) if after else query))


def flavor_in_use(tx: Transaction, flavor_id: UUID) -> bool:
    return bool(tx.session.scalar(select(exists().where(Instance.flavor_id == flavor_id))))


def instance(tx: Transaction, instance_id: UUID, project: str | None) -> Instance | None:
    """`project` None sees all."""
    query = select(Instance).where(Instance.id == instance_id)
    if project is not None:
        query = query.where(Instance.project == project)
    return tx.session.scalars(query).one_or_none()


def instances(
    tx: Transaction,
    limit: int,
    after: Key,
    project: str | None,
    zone: str | None = None,
    name: str | None = None,
    node_id: UUID | None = None,
) -> list[Instance]:
    query = select(Instance).order_by(Instance.name, Instance.id).limit(limit)
    if project is not None:
        query = query.where(Instance.project == project)
    if zone is not None:
        query = query.where(Instance.zone == zone)
    if name is not None:
        query = query.where(Instance.name == name)
    if node_id is not None:
        query = query.join(Port).where(Port.node_id == node_id)
    if after:
        query = query.where(tuple_(Instance.name, Instance.id) > after)
    return list(tx.session.scalars(query))


def port(tx: Transaction, port_id: UUID, *, lock: bool = False) -> Port | None:
    """With `lock`, the port is ours until commit: whoever derives its entries holds it."""
    return _port(tx, Port.id == port_id, lock=lock)


def port_of_target(tx: Transaction, kind: str, target_id: UUID, *, lock: bool = False) -> Port | None:
    return _port(tx, and_(Port.kind == kind, Port.target_id == target_id), lock=lock)


def _port(tx: Transaction, which: ColumnElement[bool], *, lock: bool) -> Port | None:
    if lock:  # apart from the load: one that had to wait for the lock would join what was there before
        tx.session.execute(select(Port.id).where(which).with_for_update(key_share=True))
    query = select(Port).where(which).execution_options(populate_existing=True)
    return tx.session.scalars(query).one_or_none()


def ports(tx: Transaction, port_ids: Sequence[UUID], *, lock: bool = False) -> list[Port]:
    """Those of `port_ids` that exist, in the order of their ids; `lock` as for one."""
    if lock:
        order = select(Port.id).where(among(Port.id, port_ids)).order_by(Port.id)
        tx.session.execute(order.with_for_update(key_share=True))
    query = select(Port).where(among(Port.id, port_ids)).order_by(Port.id)
    return list(tx.session.scalars(query.execution_options(populate_existing=True)))


def on_node(tx: Transaction, node_id: UUID, *, lock: bool = False) -> list[Port]:
    """The ports that are, or are about to be, on a node; `lock` as for one."""
    about_to = select(Claim.port_id).where(Claim.destination_id == node_id)
    query = select(Port.id).where(or_(Port.node_id == node_id, Port.id.in_(about_to)))
    return ports(tx, list(tx.session.scalars(query)), lock=lock)


def set_addresses(tx: Transaction, of: Port, addresses: Sequence[TargetAddress]) -> None:
    """Replace the copy of a port's addresses, in their order."""
    tx.session.execute(delete(PortAddress).where(PortAddress.port_id == of.id))
    tx.session.flush()
    tx.session.add_all(
        PortAddress(
            port_id=of.id,
            flexible_ip=address.flexible_ip,
            position=position,
            prefix=ip_network(address.prefix),
            host=address.host,
            candidates=[[one.target.kind, str(one.target.id), one.priority] for one in address.candidates],
            health_check=address.health_check.model_dump(mode="json") if address.health_check else None,
        )
        for position, address in enumerate(addresses)
    )
    tx.session.flush()
    tx.session.refresh(of, ["addresses"])


def unreported(tx: Transaction, among: Sequence[UUID] | None = None) -> list[UUID]:
    """Ports whose addresses the ledger does not yet know to be realised, or whose mode it does not know."""
    query = select(Port.id).where(or_(Port.set_revision > Port.reported_revision, Port.ledger_mode != Port.mode))
    return list(tx.session.scalars(query if among is None else query.where(Port.id.in_(among))))


def with_other_limits(tx: Transaction, port_id: UUID) -> Port | None:
    """The port, if the ledger knows another mode of it."""
    return tx.session.scalars(select(Port).where(Port.id == port_id, Port.ledger_mode != Port.mode)).one_or_none()


def limits_known(tx: Transaction, port_id: UUID, mode: str) -> None:
    """The ledger knows how many addresses a port of this mode takes."""
    tx.session.execute(update(Port).where(Port.id == port_id).values(ledger_mode=mode))


class DueReport(NamedTuple):
    """An AddressSet the ledger waits to hear of, the kind of the claim on its port, and whether it holds addresses."""

    kind: str
    target_id: UUID
    revision: int
    claim: str | None
    holds: bool


def due_report(tx: Transaction, port_id: UUID) -> DueReport | None:
    holds = exists().where(PortAddress.port_id == Port.id)
    query = select(Port.kind, Port.target_id, Port.set_revision, Claim.kind, holds).outerjoin(Claim)
    row = tx.session.execute(query.where(Port.id == port_id, Port.set_revision > Port.reported_revision)).one_or_none()
    return DueReport(*row) if row else None


def reported(tx: Transaction, port_id: UUID, revision: int) -> None:
    """The ledger knows that `revision` is realised; an older report changes nothing."""
    tx.session.execute(
        update(Port).where(Port.id == port_id, Port.reported_revision < revision).values(reported_revision=revision)
    )


# --- node-bound addresses --------------------------------------------------------------------------------------------


def addresses_of_node(tx: Transaction, node_id: UUID) -> list[Prefix]:
    """The node-bound addresses of a node that ports hold."""
    return list(tx.session.scalars(select(NodeAddress.prefix).where(NodeAddress.node_id == node_id)))


def addresses_within(tx: Transaction, zone: str, within: Prefix) -> list[Prefix]:
    """The node-bound addresses of a zone that ports hold within a prefix, whichever node they were given on."""
    query = select(NodeAddress.prefix).where(NodeAddress.zone == zone, NodeAddress.prefix.op("<<=")(within))
    return list(tx.session.scalars(query))


def give_node_address(tx: Transaction, of: Port, node_id: UUID, prefix: Prefix) -> None:
    tx.session.add(NodeAddress(zone=of.instance.zone, prefix=prefix, node_id=node_id, port_id=of.id))
    tx.session.flush()
    tx.session.expire(of, ["node_addresses"])


def free_node_addresses(tx: Transaction, of: Port, keep: UUID | None = None) -> None:
    """Free the port's node-bound addresses, except those of node `keep` and what is being carried over."""
    query = delete(NodeAddress).where(NodeAddress.port_id == of.id, ~NodeAddress.carried)
    tx.session.execute(query.where(NodeAddress.node_id != keep) if keep else query)
    tx.session.expire(of, ["node_addresses"])


def take_node_addresses(tx: Transaction, of: Port, prefixes: Sequence[Prefix]) -> None:
    """Free these node-bound addresses of the port, except what is being carried over."""
    query = delete(NodeAddress).where(NodeAddress.port_id == of.id, ~NodeAddress.carried)
    tx.session.execute(query.where(NodeAddress.prefix.in_(prefixes)))
    tx.session.expire(of, ["node_addresses"])


def remove(tx: Transaction, instance: Instance) -> None:
    """Delete an instance with its port. Node-bound addresses go first: the ORM cannot sort keys of both families.

    What is carried may be the ledger's already: it is never given out again.
    """
    held = NodeAddress.port_id == instance.port.id
    tx.session.execute(update(NodeAddress).where(held, NodeAddress.carried).values(port_id=None))
    tx.session.execute(delete(NodeAddress).where(held))
    tx.session.expire(instance.port, ["node_addresses"])
    tx.session.delete(instance)


def homes(tx: Transaction, prefixes: Sequence[Prefix]) -> dict[Prefix, UUID]:
    """Of those that are carried prefixes, the node whose own prefix each is a part of."""
    if not prefixes:
        return {}
    query = select(NodeAddress.prefix, NodeAddress.node_id).where(NodeAddress.carried)
    rows = tx.session.execute(query.where(among(NodeAddress.prefix, prefixes)))
    return {row.prefix: row.node_id for row in rows}


def hand_over(tx: Transaction, of: Port, prefixes: Sequence[Prefix]) -> None:
    """The ledger owns these by now, on whatever target they are: no longer the port's, and never given out again."""
    tx.session.execute(
        update(NodeAddress)
        .where(NodeAddress.port_id == of.id, NodeAddress.carried, NodeAddress.prefix.in_(prefixes))
        .values(port_id=None)
    )
    tx.session.expire(of, ["node_addresses"])


# --- sequences -------------------------------------------------------------------------------------------------------


def sequences(tx: Transaction, prefixes: Sequence[Prefix]) -> dict[Prefix, Sequenced]:
    if not prefixes:
        return {}
    query = select(
        AddressSequence.prefix, AddressSequence.sequence, AddressSequence.node_id, AddressSequence.previous_node_id
    )
    rows = tx.session.execute(query.where(among(AddressSequence.prefix, prefixes)))
    return {prefix: Sequenced(sequence, node, previous) for prefix, sequence, node, previous in rows}


def announce_from(tx: Transaction, announcers: Mapping[Prefix, UUID]) -> dict[Prefix, Sequenced]:
    """Each prefix's node becomes its announcer; the sequence of one that another announced rises. Returns them all."""
    known = sequences(tx, list(announcers))
    changed = [
        {"prefix": prefix, "sequence": 1, "node_id": node_id, "previous_node_id": None}
        for prefix, node_id in announcers.items()
        if prefix not in known or known[prefix].node != node_id
    ]
    if not changed:
        return known
    statement = insert(AddressSequence).values(changed)
    tx.session.execute(
        statement.on_conflict_do_update(
            index_elements=["prefix"],
            set_={
                "sequence": AddressSequence.sequence + 1,
                "node_id": statement.excluded.node_id,
                "previous_node_id": AddressSequence.node_id,
            },
            where=AddressSequence.node_id.is_distinct_from(statement.excluded.node_id),
        )
    )
    return sequences(tx, list(announcers))


def raise_sequences(tx: Transaction, node_id: UUID, seen: Mapping[Prefix, int]) -> set[Prefix]:
    """Let no sequence be below what a node announces: above it, if another node is to announce. Those that rose."""
    if not seen:
        return set()
    rows = [{"prefix": prefix, "sequence": at, "node_id": node_id} for prefix, at in seen.items()]
    statement = insert(AddressSequence).values(rows)
    elsewhere = AddressSequence.node_id.is_distinct_from(statement.excluded.node_id)
    least = statement.excluded.sequence + case((elsewhere, 1), else_=0)
    risen = statement.on_conflict_do_update(
        index_elements=["prefix"], set_={"sequence": least}, where=AddressSequence.sequence < least
    )
    return set(tx.session.scalars(risen.returning(AddressSequence.prefix)))


def ports_with(tx: Transaction, prefixes: Collection[Prefix]) -> list[UUID]:
    """The ports that have any of these addresses."""
    flexible = select(PortAddress.port_id).where(PortAddress.prefix.in_(prefixes))
    bound = select(NodeAddress.port_id).where(NodeAddress.prefix.in_(prefixes), NodeAddress.port_id.is_not(None))
    return sorted({port_id for query in (flexible, bound) for port_id in tx.session.scalars(query) if port_id})


# --- claims ----------------------------------------------------------------------------------------------------------


def claim_of_operation(tx: Transaction, operation_id: str, *, lock: bool = False) -> Claim | None:
    """With `lock`, the claim is ours until commit."""
    query = select(Claim).where(Claim.operation_id == operation_id).execution_options(populate_existing=True)
    if lock:
        query = query.with_for_update()
    return tx.session.scalars(query).one_or_none()


def claimed_by(tx: Transaction, name: str) -> list[UUID]:
    """The ports of an Operation, or of all those of a wave, in the order of their ids."""
    query = select(Claim.port_id).where(or_(Claim.operation_id == name, Claim.wave == name)).order_by(Claim.port_id)
    return list(tx.session.scalars(query))


def claims(tx: Transaction, steps: Sequence[str] | None = None) -> list[Claim]:
    """All that is going on; at these steps alone."""
    query = select(Claim)
    return list(tx.session.scalars(query if steps is None else query.where(Claim.step.in_(steps))))


def claims_of(tx: Transaction, port_ids: Sequence[UUID]) -> list[Claim]:
    return list(tx.session.scalars(select(Claim).where(among(Claim.port_id, port_ids))))
