"""New homes for many instances at once, and what they leave behind where they were."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from common.db import Transaction
from services.placement import claims, modes, scheduler
from services.placement.conversion.phases import PortState
from services.placement.conversion.steps import CONVERSIONS, Stage
from services.placement.desired import passage_of
from services.placement.fleet import steps
from services.placement.model import Node, Port
from services.placement.move import Kind, Step, first_step, redirected
from services.placement.products import instance as product
from services.placement.service import flavors
from services.placement.store import conversions, nodes, operations


@dataclass(frozen=True, slots=True)
class Placed:
    """The ports that have a destination now, and those that find no room."""

    moving: Sequence[Port]
    homeless: Sequence[Port]


def begin(tx: Transaction, ports: Sequence[Port], kind: Kind, away_from: Node, wave: str) -> Placed:
    """Claim locked ports for a move away from a node, or redirect what is changing them; entries are the caller's."""
    hosts = {host.id: host for host in nodes.hosts(tx, away_from.zone) if host.id != away_from.id}
    hosts = {host.id: host for host in hosts.values() if host.schedulable and host.shares_disks}
    for node_id in sorted(hosts):
        nodes.lock_supply(tx, node_id)
    hosts = {host.id: host for host in nodes.hosts(tx, away_from.zone) if host.id in hosts}
    moving, homeless = [], []
    for port in ports:
        needed = flavors.resources(port.instance.flavor)
        found = scheduler.candidates(hosts.values(), needed)
        chosen = next((host for host in found if product.has_addresses(tx, port, host.id)), None)
        if chosen is None:
            homeless.append(port)
            continue
        hosts[chosen.id] = scheduler.with_less(chosen, needed)
        if port.claim is None:
            claims.claim(tx, port, kind, first_step(kind), wave=wave)
        else:
            claims.give_up(tx, port, port.claim)
            port.claim.step = redirected(Kind(port.claim.kind), Step(port.claim.step)) or port.claim.step
            claims.ring(tx, port.claim)
        product.hold(tx, port, chosen.id)
        moving.append(port)
    return Placed(moving, homeless)


def preempt(tx: Transaction, port: Port, dead: UUID, because: str) -> bool:
    """End whatever is changing a locked port, in favour of an evacuation: it stays what it is in effect.

    Whether it is to be started elsewhere: one that was on its way to the node that is dead goes on where it was.
    """
    claim, passage = port.claim, passage_of(port.claim)
    if claim is None:
        return True
    operation = operations.get(tx, claim.operation_id, lock=True)
    if operation is not None:
        operation.fail("placement.operation.preempted", because)
    if claim.kind in CONVERSIONS:
        port.enter(modes.HOSTNAT if claim.step == Stage.SWITCHED.name.lower() else modes.NAT)
        row = conversions.row_of_port(tx, port.id)
        if row is not None:
            row.state = PortState.WAITING
    claims.give_up(tx, port, claim)
    tx.session.delete(claim)
    port.claim = None
    tx.session.flush()
    return port.node_id == dead or not steps.stays(passage)


def must_leave(port: Port, node_id: UUID) -> bool:
    """`steps.must_leave` of a port."""
    return steps.must_leave(node_id, port.node_id, passage_of(port.claim))


def goes_elsewhere(port: Port, node_id: UUID) -> bool:
    """Whether what is changing a port needs but another destination when that node is dead."""
    return steps.goes_elsewhere(node_id, port.node_id, passage_of(port.claim))
