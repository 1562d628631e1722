"""Failover by health: what edges' checks find down goes to another candidate, by the ledger.

An edge's findings are read anew each time: a wake-up that was lost, or comes twice, changes nothing. Whether an address
may fail over now, the ledger decides: it knows the active one, the hold-down and the flap guard.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_interface
from uuid import UUID

import structlog

from common.db import Database, Transaction
from common.errors import Conflict, Invalid, NotFound
from services.ipam import wire as ipam_wire
from services.ipam.client import IpamClient
from services.netagent.wire import CheckState, Condition
from services.placement.address_fences import AddressFences
from services.placement.address_sets import AddressSets
from services.placement.agents import Agents
from services.placement.model import Port, PortAddress
from services.placement.store import instances, nodes

log = structlog.get_logger()

Target = tuple[str, UUID]

WITHDRAWAL_S = 0.15
"""How long the old holder's node is waited for before the address is fenced from it."""


def choose(candidates: Sequence[Target], active: Target, running: Collection[Target]) -> Target | None:
    """The best candidate that runs, of `candidates` in their order; None: it had better stay. Pure."""
    return next((one for one in candidates if one != active and one in running), None)


class Failovers:
    """Acts on what health checks find."""

    def __init__(
        self, database: Database, agents: Agents, ipam: IpamClient, sets: AddressSets, fences: AddressFences
    ) -> None:
        self._db = database
        self._agents = agents
        self._ipam = ipam
        self._sets = sets
        self._fences = fences
        self._at_once = ThreadPoolExecutor(16, thread_name_prefix="failover")
        self._withdrawals = ThreadPoolExecutor(16, thread_name_prefix="withdrawal")  # one may outlast its patience

    def take(self, edge_id: UUID) -> None:
        """Let every address whose holder an edge finds down go to another candidate. Raises Unavailable."""
        with self._db.transaction() as tx:
            edge = nodes.node(tx, edge_id)
        if edge is None:
            return
        found = self._agents.of(edge.id, edge.agent_url).health_checks()
        down = [state for state in found if state.condition is Condition.DOWN]
        left = {port.id: port for port in self._at_once.map(self._fail_over, down) if port is not None}
        for _ in self._at_once.map(self._withdraw, left.values()):
            pass

    def _fail_over(self, state: CheckState) -> Port | None:
        """The port that the address is to leave; None: it stays."""
        with self._db.transaction() as tx:
            port = instances.port(tx, state.holder)
            address = _checked(port, state) if port is not None else None
            if port is None or address is None:  # it has gone elsewhere meanwhile
                return None
            candidates = [(kind, UUID(target_id)) for kind, target_id, _ in address.candidates]
            to = choose(candidates, (port.kind, port.target_id), _running(tx, candidates))
        if to is None:
            log.warning("failover.nowhere", address=str(state.address), missed=state.missed)
            return None
        body = ipam_wire.Failover.model_validate(
            {
                "from": ipam_wire.TargetRef(kind=port.kind, id=port.target_id),
                "to": ipam_wire.TargetRef(kind=to[0], id=to[1]),
                "cause": ipam_wire.FailoverCause.HEALTH,
            }
        )
        try:
            operation = self._ipam.fail_over(address.flexible_ip, body)
        except (Conflict, Invalid, NotFound) as refused:
            log.info("failover.refused", address=str(state.address), code=refused.code, text=refused.message)
            return None
        log.warning("failover.by_health", address=str(state.address), missed=state.missed, operation=operation.id)
        return port

    def _withdraw(self, holder: Port) -> None:
        """Have the old holder's node withdraw the address; what it has not soon is fenced from it."""
        port, behind = self._sets.fetch(holder.kind, holder.target_id)
        if port is None:
            return
        withdrawal = self._withdrawals.submit(self._sets.realize, port, behind)
        with contextlib.suppress(TimeoutError):
            withdrawal.result(WITHDRAWAL_S)
        self._fences.take(port.id)


def _checked(port: Port, state: CheckState) -> PortAddress | None:
    return next((one for one in port.addresses if ip_interface(one.host).ip == state.address), None)


def _running(tx: Transaction, targets: Sequence[Target]) -> set[Target]:
    """Those of `targets` that run on a node that answers and is not held apart."""
    found = set()
    for kind, target_id in targets:
        port = instances.port_of_target(tx, kind, target_id)
        node = nodes.node(tx, port.node_id) if port is not None and port.node_id is not None else None
        if node is not None and nodes.up(node) and node.fence is None:
            found.add((kind, target_id))
    return found
