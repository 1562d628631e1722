"""Who runs the nodes: fences what seems dead and what is not, evacuates, drains, changes his mind, and tidies up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from common.errors import DomainError
from services.placement import scheduler
from services.placement.conversion.steps import CONVERT, REVERT
from services.placement.errors import (
    NodeBusy,
    NodeEdge,
    NodeFenced,
    NodeNoRoom,
    NodeNotFenced,
    NodeNotHypervisor,
    OperationFixed,
)
from services.placement.fleet.steps import Work
from services.placement.move import Kind, Step, undone
from tests.simulation.fleet import NEEDED, Fleet
from tests.simulation.ledger import HEALTH_CHECK
from tests.simulation.rows import Claim, ConversionClaim, Node, NodeWork

if TYPE_CHECKING:
    from tests.simulation.requests import Requests

WEIGHTS = {
    "fence": 3,
    "unfence": 3,
    "evacuate": 5,
    "drain": 3,
    "undrain": 3,
    "pause": 2,
    "resume": 3,
    "cancel": 3,
    "candidates": 4,
    "health_check": 3,
    "failover": 6,
    "thaw": 1,
}
"""Kinds of requests, and how often each is made."""


@dataclass
class Operators:
    """Asks for what concerns nodes, operations and failover addresses, with production's refusals."""

    controller: Fleet
    requests: Requests

    def ask(self, kind: str) -> None:
        """One request. Raises DomainError."""
        random, rows = self.controller.engine.random, self.controller.rows
        careless = random.random() < 0.05
        match kind:
            case "fence":
                self.fence(self._choose(self._to_fence(), careless))
            case "unfence":
                self.unfence(self._choose([node for node in rows.nodes.values() if node.fence], careless))
            case "evacuate":
                fenced = [node for node in rows.of_role("hypervisor") if node.fence and node.id not in rows.works]
                self.evacuate(self._choose(fenced, careless))
            case "drain":
                self.drain(self._choose(self._spare(), careless), random.choice([1, 2, 5]))
            case "undrain":
                drained = [node for node in rows.nodes.values() if node.admin_state != "enabled"]
                self.undrain(self._choose(drained, careless))
            case "pause" | "resume":
                works = [
                    one for one in rows.works.values() if one.kind is Work.DRAIN and one.paused == (kind == "resume")
                ]
                self.pause(random.choice(works) if works else None, paused=kind == "pause")
            case "cancel":
                self.cancel(random.choice([*(c.operation for c in rows.claims.values()), *self._drains()] or [None]))
            case _:
                self._failover_address(kind)

    def _choose(self, nodes: Sequence[Node], careless: bool) -> Node:
        """One of `nodes`, or of all; who is `careless` takes any that he will be refused."""
        everyone = list(self.controller.rows.nodes.values())
        refused = [node for node in everyone if node.role == "edge" or node.id in self.controller.rows.works]
        return self.controller.engine.random.choice(refused if careless or not nodes else nodes)

    def _spare(self) -> list[Node]:
        """Hypervisors that may go: two others stay."""
        there = [n for n in self.controller.rows.of_role("hypervisor") if n.admin_state == "enabled" and not n.fence]
        return there if len(there) > 2 else []

    def _to_fence(self) -> list[Node]:
        """Mostly a node that is silent; at times one that is not. The other gateway stays."""
        rows, now = self.controller.rows, self.controller.engine.now
        gateways = rows.of_role("gateway")
        able = [*self._spare(), *([] if any(node.fence for node in gateways) else gateways)]
        silent = [node for node in able if not node.up(now)]
        return silent if silent and self.controller.engine.random.random() < 0.9 else able

    # --- nodes: as `service.nodes` -----------------------------------------------------------------------------------

    def _require_free(self, node: Node) -> None:
        if node.id in self.controller.rows.works:
            raise NodeBusy(f"{node.name} is being changed")

    def fence(self, node: Node) -> None:
        controller = self.controller
        if node.role == "edge":
            raise NodeEdge(f"{node.name} is an edge")
        if node.fence:
            raise NodeFenced(f"{node.name} is fenced already")
        work = controller.rows.works.get(node.id)
        if work is not None and work.kind is Work.DRAIN:
            controller.edges.add(("node.drain", "working", "fenced meanwhile"))
            controller.end_work(work, "failed", "placement.operation.preempted")
        self._require_free(node)
        node.fence = True
        controller.begin_work(node, Work.FENCE)

    def unfence(self, node: Node) -> None:
        if not node.fence:
            raise NodeNotFenced(f"{node.name} is not fenced")
        self._require_free(node)
        self.controller.begin_work(node, Work.UNFENCE)

    def evacuate(self, node: Node) -> None:
        if node.role != "hypervisor":
            raise NodeNotHypervisor(f"{node.name} is a {node.role}")
        if not (node.fenced and node.fence):
            raise NodeNotFenced(f"{node.name} is not fenced")
        self._require_free(node)
        self.controller.begin_work(node, Work.EVACUATE)

    def drain(self, node: Node, concurrency: int) -> None:
        rows = self.controller.rows
        if node.role != "hypervisor":
            raise NodeNotHypervisor(f"{node.name} is a {node.role}")
        if node.fence:
            raise NodeFenced(f"{node.name} is fenced: evacuate it")
        others = [host for host in rows.hosts(self.controller.engine.now) if host.id != node.id]
        if scheduler.unplaced(others, [NEEDED for _ in rows.on_node(node.id)]):
            raise NodeNoRoom(f"the instances of {node.name} find no room elsewhere")
        self._require_free(node)
        node.admin_state = "draining"
        self.controller.begin_work(node, Work.DRAIN, concurrency)

    def undrain(self, node: Node) -> None:
        if node.fence:
            raise NodeFenced(f"{node.name} is fenced; unfence it first")
        work = self.controller.rows.works.get(node.id)
        if work is not None and work.kind is not Work.DRAIN:
            raise NodeBusy(f"{node.name} is being changed")
        if work is not None:
            self.controller.edges.add(("node.drain", "working", "undrained meanwhile"))
            self.controller.end_work(work, "failed", "placement.operation.preempted")
        node.admin_state = "enabled"

    # --- operations: as `service.cancelling` -------------------------------------------------------------------------

    def _drains(self) -> list[str]:
        return [work.operation for work in self.controller.rows.works.values() if work.kind is Work.DRAIN]

    def pause(self, work: NodeWork | None, *, paused: bool) -> None:
        if work is None:
            raise OperationFixed("there is no drain to pause or resume")
        work.paused = paused
        self.controller.ring_work(work.node)

    def cancel(self, operation: str | None) -> None:
        """End a drain, or a move before its point of no return; let a conversion walk back."""
        controller, rows = self.controller, self.controller.rows
        work = next((one for one in rows.works.values() if one.operation == operation), None)
        if work is not None and work.kind is Work.DRAIN:
            controller.edges.add(("node.drain", "working", "cancelled meanwhile"))
            rows.nodes[work.node].admin_state = "enabled"
            controller.end_work(work, "cancelled")
            return
        claim = next((one for one in rows.claims.values() if one.operation == operation), None)
        if isinstance(claim, ConversionClaim) and claim.kind == CONVERT:
            turned = replace(claim, kind=REVERT)
            rows.swap(claim, turned)
            controller.edges.add(("cancel", CONVERT, REVERT))
            controller.ring_claim(turned)
            return
        into = undone(claim.kind, claim.step) if isinstance(claim, Claim) and not claim.undone else None
        if isinstance(claim, Claim) and into is not None:
            controller.edges.add(("cancel", claim.kind, claim.step))
            controller.turn(rows.ports[claim.port], claim, into)
            self.requests.comes_to(claim.port, runs=into[0] is Kind.RETURN)
            return
        if not isinstance(claim, Claim) or (claim.kind, claim.step) != (Kind.LIVE, Step.PREPARE):
            raise OperationFixed("it is past the point of no return")
        controller.edges.add(("cancel", claim.kind, claim.step))
        port = rows.ports[claim.port]
        controller.give_up(port, claim)
        rows.swap(claim, None)
        rows.operations[claim.operation].state = "cancelled"
        controller.engine.note(f"{claim.operation} cancelled")
        controller.derive(port)

    # --- failover addresses: as `service.failover` -------------------------------------------------------------------

    def _failover_address(self, kind: str) -> None:
        random, ledger = self.controller.engine.random, self.controller.ledger
        held = [fip for fip in ledger.failover if fip.active is not None]
        several = [fip for fip in held if len(fip.candidates) > 1]
        fip = random.choice((several if kind == "failover" else held) or ledger.failover)
        active = fip.active.target_id if fip.active is not None else None
        match kind:
            case "candidates":
                able = [target.id for target in ledger.targets.values() if ledger.has_room(fip, target)]
                wanted = [*random.sample(able, min(len(able), 2)), *([active] if active else [])]
                ledger.put_candidates(fip.id, list(dict.fromkeys(wanted)))
            case "health_check":
                ledger.put_health_check(fip.id, None if fip.health_check and random.random() < 0.3 else HEALTH_CHECK)
            case "thaw":
                ledger.thaw(fip.id)
            case "failover":
                others = [one.target_id for one in fip.candidates if one.target_id != active]
                to = random.choice([*others, None])
                ledger.fail_over(fip.id, random.choice([active, None]), to, by_health=False)

    # --- at the end --------------------------------------------------------------------------------------------------

    def wind_up(self) -> None:
        """Let all nodes in again; what an evacuation finds no room for gets it."""
        rows = self.controller.rows
        for node in rows.nodes.values():
            work = rows.works.get(node.id)
            try:
                if work is None and node.fence:
                    self.unfence(node)
                elif work is None and node.admin_state != "enabled":
                    self.undrain(node)
                elif work is not None and work.kind is Work.DRAIN:
                    self.cancel(work.operation)
                elif work is not None and rows.operations[work.operation].waits == "node.no_room":
                    self.requests.make_room(node.id)
            except DomainError as error:
                self.controller.engine.note(f"refused: {error.code}")
