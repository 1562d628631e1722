"""A target's addresses: fetched from the ledger, realised on the nodes, reported back."""

from __future__ import annotations

from uuid import UUID

from common.db import Database, Transaction
from common.errors import NotFound
from services.ipam import wire as ipam_wire
from services.ipam.client import IpamClient
from services.placement import ledger, move
from services.placement.desired import derive_port
from services.placement.model import Port
from services.placement.move import Kind
from services.placement.store import instances, nodes
from services.placement.sync import NodeSync, pending, reachable_behind


def store_addresses(tx: Transaction, port: Port, fetched: ipam_wire.AddressSet) -> None:
    """Take over a newer AddressSet of a locked port, and derive what nodes must hold of it."""
    if fetched.revision <= port.set_revision:
        return
    port.set_revision = fetched.revision
    instances.set_addresses(tx, port, fetched.addresses)
    if port.claim is not None:
        port.claim.settled_at = None  # what is on its way to an address that came now needs its time too
    if any(held.carried for held in port.node_addresses):
        instances.hand_over(tx, port, [address.prefix for address in port.addresses])
    derive_port(tx, port)


class AddressSets:
    """Follows the ledger for every target of ours."""

    def __init__(self, database: Database, ipam: IpamClient, sync: NodeSync) -> None:
        self._db = database
        self._ipam = ipam
        self._sync = sync

    def follow(self, kind: str, target_id: UUID) -> None:
        """Fetch a target's addresses from the ledger, realise them, and report."""
        port, behind = self.fetch(kind, target_id)
        if port is not None:
            self.realize(port, behind)

    def fetch(self, kind: str, target_id: UUID) -> tuple[Port | None, list[UUID]]:
        """Take over a target's addresses; its port, if it is ours, and the nodes that must be told and answer."""
        try:
            fetched = self._ipam.address_set(kind, target_id)
        except NotFound:
            return None, []
        with self._db.transaction() as tx:
            port = instances.port_of_target(tx, kind, target_id, lock=True)
            if port is not None:
                store_addresses(tx, port, fetched)
                return port, reachable_behind(tx, [port.id])
        self._ipam.delete_target(kind, target_id)  # deleted while a worker was registering it
        return None, []

    def realize(self, port: Port, behind: list[UUID]) -> None:
        """Bring the nodes to what was fetched, and report."""
        self._sync.nodes(behind, of=[port.id])
        self.report(port.id)
        if port.claim is not None:  # its move waits for the same nodes
            self._sync.wake({port.id})

    def report(self, port_id: UUID) -> None:
        """Tell the ledger how far a port's addresses are realised, and how many its mode takes."""
        with self._db.transaction() as tx:
            converted = instances.with_other_limits(tx, port_id)
            due = instances.due_report(tx, port_id)
            behind = pending(tx, port_id) if due else ()
            at = nodes.clock(tx) if due and not behind else None
        if converted is not None:
            self._ipam.register_target(converted.kind, converted.target_id, ledger.target_of(converted))
            with self._db.transaction() as tx:
                instances.limits_known(tx, port_id, converted.mode)
        if due is None:
            return
        if behind or (due.claim == Kind.CREATE and due.holds):
            waiting = move.unrealized(behind) if behind else move.BEING_CREATED
            report = ipam_wire.Realized(
                waiting_for=ipam_wire.Waiting(code=waiting.code, text=waiting.text, unblock=waiting.unblock)
            )
        else:
            report = ipam_wire.Realized(realized_revision=due.revision, realized_at=at)
        try:
            self._ipam.report_realized(due.kind, due.target_id, report)
        except NotFound:
            return
        if report.realized_revision is not None:
            with self._db.transaction() as tx:
                instances.reported(tx, port_id, due.revision)
