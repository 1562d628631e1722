"""Fences addresses from nodes that do not withdraw them: the edges drop them from and to the node's links.

Read back there, an address counts as withdrawn, so that whoever waits for it gets it though its old holder's host is
dead, or merely out of our reach. The fence is lifted when the node has withdrawn the address itself, or has read back
that it holds it again.
"""

from __future__ import annotations

from ipaddress import IPv4Address
from uuid import UUID

import structlog
from sqlalchemy.exc import IntegrityError

from common.db import Database, Transaction
from services.netagent import wire
from services.placement import bells
from services.placement.address_sets import AddressSets
from services.placement.model import AddressFence, Node, NodeEntry
from services.placement.store import entries, fences, nodes
from services.placement.sync import NodeSync

log = structlog.get_logger()


class AddressFences:
    """Raises and lifts them."""

    def __init__(self, database: Database, sync: NodeSync, sets: AddressSets) -> None:
        self._db = database
        self._sync = sync
        self._sets = sets

    def take(self, port_id: UUID | None = None) -> None:
        """Fence what nodes that are silent have not withdrawn; of a port named, what its node has not, silent or not.

        Then tell the ledger of what the edges have read back, and lift what is no longer needed.
        """
        try:
            with self._db.transaction() as tx:
                edges = self._raise(tx, port_id)
        except IntegrityError:  # another worker was faster
            return
        self._sync.nodes(edges, of=[])
        with self._db.transaction() as tx:
            settled = self._settle(tx)
        for settled_port in settled:
            self._sets.report(settled_port)

    @staticmethod
    def _raise(tx: Transaction, port_id: UUID | None) -> set[UUID]:
        """The edges that have something to do."""
        concerned: set[UUID] = set()
        for entry, node in fences.unwithdrawn(tx):
            if nodes.up(node) if port_id is None else entry.owner != port_id:
                continue
            edges = nodes.members(tx, node.zone, "edge")
            if not edges or not node.neighbours:
                continue
            fence = fences.add(tx, entry)
            held = _blackholes(entry, node)
            concerned |= entries.replace(tx, {fence.id: dict.fromkeys(edges, held)})
            log.warning("address.fenced", prefix=str(wire.unpack_prefix(entry.key)), node=node.name)
        return concerned

    @staticmethod
    def _settle(tx: Transaction) -> set[UUID]:
        """The ports for which something has changed."""
        held = fences.fences(tx)
        pending = entries.pending(tx, [fence.id for fence in held if not fence.realized])
        settled = set()
        for fence in held:
            if not fence.realized and not pending[fence.id]:
                fence.realized = True
                settled.add(fence.port_id)
        for fence in fences.outlived(tx, held):
            lift(tx, fence)
        return settled


def lift(tx: Transaction, fence: AddressFence) -> None:
    for edge in entries.replace(tx, {fence.id: {}}, {fence.id: fence.id}):
        tx.ring(bells.NODE, str(edge))
    tx.session.delete(fence)


def _blackholes(entry: NodeEntry, node: Node) -> list[wire.Entry]:
    prefix = wire.unpack_prefix(entry.key)
    return [wire.Blackhole(prefix, IPv4Address(neighbour)) for neighbour in node.neighbours]
