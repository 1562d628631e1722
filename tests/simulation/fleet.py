"""The controller's work on nodes as a whole, the addresses it holds apart, and failover by health.

They follow `services.placement.fleet`, `.address_fences` and `.failover`; what comes next is decided by `fleet.steps`
and `failover.choose` as in production.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from uuid import UUID

from common.errors import Conflict, Invalid, NotFound
from dataplane.entries import Check
from services.netagent import wire
from services.placement import bells, failover, modes, scheduler
from services.placement.conversion.phases import PortState
from services.placement.conversion.steps import Stage
from services.placement.fleet import steps
from services.placement.fleet.steps import Done, Facts, LetIn, Move, Wait, Work
from services.placement.move import Kind, Pending, Step, first_step, redirected, unrealized
from services.placement.node_addresses import lowest_free
from services.placement.snapshot import Prefix
from tests.simulation.agents import Agent
from tests.simulation.controller import COMMIT, EVERY
from tests.simulation.conversions import Conversions
from tests.simulation.ledger import KIND
from tests.simulation.rows import AddressFence, Claim, ConversionClaim, Node, NodeWork, Operation, Port, passage_of
from tests.simulation.workers import Task

NEEDED = {"VCPU": 1}
Place = tuple[UUID, list[Prefix]]


@dataclass
class Fleet(Conversions):
    """The controller with all its workers."""

    down_since: dict[UUID, float] = field(default_factory=dict)  # by port: when an edge's check first missed it
    restarted: set[UUID] = field(default_factory=set)  # whose guests may have died with a node; until they run again
    unstopped: set[UUID] = field(default_factory=set)  # ports whose stop gave way to an evacuation
    _fences_made: int = 0

    def _task(self, bell: str, names: tuple[UUID, ...]) -> Task:
        match bell:
            case bells.NODE_WORK:
                return self.take_work(*names)
            case bells.ADDRESS_FENCES:
                return self.take_fences()
            case bells.FAILOVER:
                return self.fail_over(*names)
        return super()._task(bell, names)

    def sweep(self) -> Task:
        for node in self.rows.works:
            self.ring(bells.NODE_WORK, (node,))
        for edge in self.rows.of_role("edge"):
            self.ring(bells.FAILOVER, (edge.id,))
        self.ring(bells.ADDRESS_FENCES, EVERY)
        return super().sweep()

    def fabric_changed(self) -> None:
        super().fabric_changed()
        for edge in self.rows.of_role("edge"):
            if self.agents[edge.id].kernel.table(Check):
                self.ring(bells.FAILOVER, (edge.id,))

    # --- work on a node: as `fleet.work` -----------------------------------------------------------------------------

    def begin_work(self, node: Node, kind: Work, concurrency: int = 1) -> None:
        """The Operation that changes a node as a whole from now on."""
        number = f"placement-{len(self.rows.operations)}"
        self.rows.operations[number] = Operation(number, f"node.{kind}", f"node {node.name}")
        self.rows.works[node.id] = NodeWork(node.id, number, kind, concurrency)
        self.engine.note(f"{number} {kind} {node.name}")
        if kind is Work.FENCE:
            self.derive_zone()
        self.ring(bells.NODE_WORK, (node.id,))

    def ring_work(self, node: UUID) -> None:
        self.ring(bells.NODE_WORK, (node,))

    def end_work(self, work: NodeWork, state: str, error: str | None = None) -> None:
        operation = self.rows.operations[work.operation]
        operation.state, operation.waits, operation.error = state, None, error
        del self.rows.works[work.node]

    def take_work(self, node_id: UUID) -> Task:
        """Take the work on a node as far as it goes now."""
        again = True
        while again:
            behind = self._reachable_behind(node_id)
            yield COMMIT
            yield from self._sync_nodes(behind, [node_id])
            again, concerned = self._work_on(node_id)
            yield COMMIT
            yield from self._wake(concerned)

    def _work_on(self, node_id: UUID) -> tuple[bool, Sequence[UUID]]:
        """Whether there is more to do at once; and the owners who waited for the node, which is held apart now."""
        node, work = self.rows.nodes[node_id], self.rows.works.get(node_id)
        if work is None:
            return False, ()
        there = self.rows.on_node(node_id) if work.kind in {Work.EVACUATE, Work.DRAIN} else []
        due = [port for port in there if self._is_due(port, work)]
        match self.decisions.node_step(work.kind, self._work_facts(node, work, len(there), len(due))):
            case Wait(code):
                self._waits(work, code)
            case LetIn():
                self.edges.add((f"node.{work.kind}", "working", "let in"))
                node.fence = node.fenced = False  # from now on it may be heard
                self.derive_zone()
                return True, ()
            case Move(count):
                self.edges.add((f"node.{work.kind}", "working", "move"))
                return self._empty(node, work, due[:count]), ()
            case Done():
                self.edges.add((f"node.{work.kind}", "working", "done"))
                return False, self._finish_work(node, work)
        return False, ()

    def _waits(self, work: NodeWork, code: str) -> None:
        self.edges.add((f"node.{work.kind}", "working", code))
        operation = self.rows.operations[work.operation]
        operation.state, operation.waits = "waiting", code

    def _is_due(self, port: Port, work: NodeWork) -> bool:
        claim = self.rows.claims.get(port.id)
        if work.kind is Work.DRAIN:
            return claim is None
        return steps.must_leave(work.node, port.node, passage_of(claim))

    def _goes_elsewhere(self, port: Port, dead: Node) -> bool:
        return steps.goes_elsewhere(dead.id, port.node, passage_of(self.rows.claims.get(port.id)))

    def _work_facts(self, node: Node, work: NodeWork, there: int, due: int) -> Facts:
        now = self.engine.now
        behind = [(one, why) for one, why in self.rows.pending(node.id) if one.role == "edge"]
        edges = tuple(Pending(one.name, one.up(now), why) for one, why in behind)
        return Facts(
            edges_pending=unrealized(edges).text if edges else None,
            node_pending=self._node_pending(node),
            fence_lifted=not node.fence,
            left=there,
            moving=there - due,
            concurrency=work.concurrency,
            paused=work.paused,
        )

    def _node_pending(self, node: Node) -> str | None:
        """Why it is not known that the node has withdrawn what is no longer its."""
        if not node.up(self.engine.now):
            return f"{node.name} does not answer"
        if node.refusal:
            return f"{node.name} does not take what it is sent: {node.refusal}"
        if node.generation > node.applied:
            return f"{node.name} has read back generation {node.applied}, not yet {node.generation}"
        return f"{node.name} does not hold {node.refused} entries as asked" if node.refused else None

    def _finish_work(self, node: Node, work: NodeWork) -> Sequence[UUID]:
        concerned: Sequence[UUID] = ()
        match work.kind:
            case Work.FENCE:
                node.fenced = True
                concerned = self.rows.waiting_for(node.id)
            case Work.DRAIN:
                node.admin_state = "drained"
        self.end_work(work, "succeeded")
        return concerned

    # --- new homes: as `fleet.placing` -------------------------------------------------------------------------------

    def _empty(self, node: Node, work: NodeWork, due: Sequence[Port]) -> bool:
        """Begin to move these ports elsewhere; whether to go on at once."""
        leaving = due
        evacuates = work.kind is Work.EVACUATE
        if evacuates:
            changing = [port for port in due if port.id in self.rows.claims]
            leaving = [port for port in due if self._goes_elsewhere(port, node) or self._preempt(port, node)]
            for port in changing:
                if port.id not in self.rows.claims:
                    self.derive(port)
        homeless = self._begin_moves(leaving, Kind.EVACUATE if evacuates else Kind.LIVE, node, work.operation)
        for port in due:
            self.derive(port)
        if homeless:
            self._waits(work, steps.homeless(homeless).code)
        return bool(due) and not homeless

    def _begin_moves(self, ports: Sequence[Port], kind: Kind, away_from: Node, wave: str) -> list[str]:
        """Claim ports for a move away from a node; the names of those that find no room."""
        rows, homeless = self.rows, []
        hosts = {host.id: host for host in rows.hosts(self.engine.now) if host.id != away_from.id and host.schedulable}
        for port in ports:
            for host in scheduler.candidates(hosts.values(), NEEDED):
                bound = self.bound_on(port, rows.nodes[host.id])
                if bound is not None:
                    hosts[host.id] = scheduler.with_less(host, NEEDED)
                    claim = rows.claims.get(port.id)
                    if isinstance(claim, Claim):
                        self._redirect(port, claim, (host.id, bound))
                    else:
                        self.claim(port, kind, (host.id, bound), wave=wave)
                    break
            else:
                homeless.append(port.name)
        return homeless

    def _preempt(self, port: Port, dead: Node) -> bool:
        """End whatever is changing a port, in favour of an evacuation; whether it is to be started elsewhere."""
        rows, claim = self.rows, self.rows.claims.get(port.id)
        if claim is None:
            return True
        operation = rows.operations[claim.operation]
        operation.state, operation.waits, operation.error = "failed", None, "placement.operation.preempted"
        self.edges.add(("preempt", claim.kind, Kind.EVACUATE))
        self.engine.note(f"{claim.operation} preempted")
        if isinstance(claim, ConversionClaim):
            port.mode = modes.HOSTNAT if claim.stage is Stage.SWITCHED else modes.NAT
            if (row := self._row(port.id)) is not None:
                row.state = PortState.WAITING
        self.give_up(port, claim)
        rows.swap(claim, None)
        self.restarted.add(port.id)
        if claim.kind == Kind.STOP:
            self.unstopped.add(port.id)
        return port.node == dead.id or not steps.stays(passage_of(claim))

    def _redirect(self, port: Port, claim: Claim, place: Place) -> None:
        self.edges.add(("redirect", claim.kind, "elsewhere"))
        self.give_up(port, claim)
        following = replace(claim, step=redirected(claim.kind, claim.step) or claim.step)
        self.rows.swap(claim, following)
        self._hold(port, following, place)

    def turn(self, port: Port, claim: Claim, into: tuple[Kind, Step]) -> None:
        """As `claims.turn`, for one who cancels."""
        rows, (kind, step) = self.rows, into
        back = claim.source if kind is Kind.RETURN else None
        if step is Step.WITHDRAW:  # its start counts, and is followed by a stop
            rows.allocations[port.id] = rows.allocations.pop(claim.operation)
            port.node = claim.destination
        else:
            self.give_up(port, claim)
        turned = replace(
            claim, kind=kind, step=step, source=back or claim.destination, destination=back, given=(), undone=True
        )
        rows.swap(claim, turned)
        self.ring_claim(turned)
        self.derive(port)

    def give_up(self, port: Port, claim: Claim | ConversionClaim) -> None:
        """Free what a claim holds at its destination."""
        self.rows.allocations.pop(claim.operation, None)
        given = set(claim.given) if isinstance(claim, Claim) else set()
        for prefix in given.intersection(self.rows.held_by(port.id)) - self.rows.carried:
            del self.rows.node_bound[prefix]

    def claim(
        self,
        port: Port,
        kind: Kind,
        place: Place | None,
        wanted: tuple[UUID, ...] = (),
        wave: str = "",
    ) -> None:
        """The Operation that changes a port from now on, and what it holds at its destination."""
        number = f"placement-{len(self.rows.operations)}"
        self.rows.operations[number] = Operation(number, kind, port.id)
        claim = Claim(port.id, number, kind, first_step(kind), port.node, None, wanted, wave)
        assert self.rows.swap(None, claim)
        self._hold(port, claim, place)

    def _hold(self, port: Port, claim: Claim, place: Place | None) -> None:
        """A node becomes the destination of a claim, which holds its capacity and node-bound addresses there."""
        rows = self.rows
        if place is not None:
            destination, bound = place
            rows.allocations[claim.operation] = destination
            for prefix in bound:
                rows.node_bound[prefix] = (destination, port.id)
            rows.swap(claim, replace(claim, destination=destination, given=tuple(bound)))
        at = f"{port.name} {port.mode} {claim.step} at {place and place[0]}"
        self.engine.note(f"{claim.operation} {claim.kind} {at}")
        self.ring_claim(claim)

    def bound_on(self, port: Port, node: Node) -> list[Prefix] | None:
        """The 10.x and legacy IPv6 a port gets on a node; None if one is exhausted."""
        if not modes.MODES[port.mode].node_bound:
            return []
        held, kept = [*self.rows.node_bound, *self.rows.withdrawing(node.id)], self.rows.kept_families(port)
        found = [
            lowest_free(within, [p for p in held if p.version == within.version])
            for within in node.prefixes
            if within.version not in kept
        ]
        return [prefix for prefix in found if prefix is not None] if None not in found else None

    # --- addresses held apart: as `address_fences` -------------------------------------------------------------------

    def take_fences(self, port_id: UUID | None = None) -> Task:
        """Fence what silent nodes have not withdrawn; of a port named, what its node has not, silent or not."""
        edges = self._raise_fences(port_id)
        yield COMMIT
        yield from self._sync_nodes(edges, [])
        settled = self._settle_fences()
        yield COMMIT
        for port in settled:
            yield from self.report(port)

    def _raise_fences(self, port_id: UUID | None) -> list[UUID]:
        rows, now = self.rows, self.engine.now
        edges = [edge.id for edge in rows.of_role("edge")]
        concerned: dict[UUID, None] = {}
        for row in rows.unwithdrawn():
            node = rows.nodes[row.node]
            if node.up(now) if port_id is None else row.owner != port_id:
                continue
            self._fences_made += 1
            fence = AddressFence(UUID(int=(3 << 100) + self._fences_made), row.node, row.key, row.owner)
            rows.address_fences[row.node, row.key] = fence
            held: list[wire.Entry] = [wire.Blackhole(wire.unpack_prefix(row.key.key), node.neighbour)]
            concerned |= dict.fromkeys(rows.replace(fence.id, dict.fromkeys(edges, held)))
            self.edges.add(("address", "leaving", "fenced"))
            self.engine.note(f"{wire.unpack_prefix(row.key.key)} is fenced from {node.name}")
        return list(concerned)

    def _settle_fences(self) -> list[UUID]:
        """The ports for which something has changed."""
        rows = self.rows
        settled: dict[UUID, None] = {}
        for fence in rows.address_fences.values():
            if not fence.realized and not rows.pending(fence.id):
                fence.realized = True
                settled[fence.port] = None
                self.edges.add(("address", "fenced", "counts as withdrawn"))
        for fence in rows.outlived():
            self.edges.add(("address", "fenced", "lifted"))
            for edge in rows.replace(fence.id, {}, fence.id):
                self.ring(bells.NODE, (edge,))
            del rows.address_fences[fence.node, fence.key]
        return list(settled)

    # --- failover by health: as `failover` ---------------------------------------------------------------------------

    def fail_over(self, edge_id: UUID) -> Task:
        """Let every address whose holder an edge finds down go to another candidate."""
        down = yield self._agent(edge_id, "health checks", self._found_down)
        left = []
        for check in down:
            port = self.rows.ports.get(check.holder)
            address = next((one for one in port.addresses if one.host.ip == check.address), None) if port else None
            if port is None or address is None:
                continue
            running = [(KIND, one) for one in address.candidates if self._runs(one)]
            to = failover.choose([(KIND, one) for one in address.candidates], (KIND, port.id), running)
            if to is None:
                continue
            yield COMMIT
            try:
                asked = partial(self.ledger.fail_over, address.flexible_ip, port.id, to[1], by_health=True)
                yield self._ledger("failover", asked)
            except (Conflict, Invalid, NotFound):
                continue
            self.edges.add(("address", "down", "failed over"))
            left.append(port)
        for port in left:
            self.workers.start("withdrawal", self.follow(port.id))
            yield self._sleep(failover.WITHDRAWAL_S)
            yield from self.take_fences(port.id)

    def _runs(self, target: UUID) -> bool:
        """Whether a target runs on a node that answers and is not held apart."""
        port = self.rows.ports.get(target)
        node = self.rows.nodes[port.node] if port is not None and port.node is not None else None
        return node is not None and node.up(self.engine.now) and not node.fence

    def _found_down(self, edge: Agent) -> list[Check]:
        """What the checks of an edge miss now, and have missed for as long as their specs say."""
        edge.state()
        now, found = self.engine.now, []
        for check in edge.kernel.table(Check).values():
            port = self.rows.ports.get(check.holder)
            if port is not None and self._is_answered(port, check):
                self.down_since.pop(check.holder, None)
            elif now - self.down_since.setdefault(check.holder, now) >= check.interval_ms * check.threshold / 1000:
                found.append(check)
        return found

    def _is_answered(self, port: Port, check: Check) -> bool:
        prefix = next((one.prefix for one in port.addresses if one.host.ip == check.address), None)
        if prefix is None or port.id in self.silent:
            return False
        if port.mode != modes.ROUTED:
            return self.paths.answers(port, prefix)
        hosts = self.fabric.next_hops(prefix)
        return bool(hosts) and all(self.paths.reaches(host, port, prefix) for host in hosts)
