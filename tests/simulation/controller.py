"""The controller's tasks as generators: re-read, act, write; a `Commit` ends every transaction.

Each follows the production task of the same name step by step (`sync`, `address_sets`, `progress`, `reconcile`,
`poller`); what those decide by pure functions is decided by the same functions here.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field, replace
from functools import partial
from ipaddress import ip_interface
from typing import Any
from uuid import UUID

from common.errors import Conflict, DomainError, Invalid, NotFound, Unavailable
from services.netagent.errors import BaseMismatch, StaleGeneration
from services.netagent.wire import Snapshot, State
from services.placement import bells, modes, snapshot
from services.placement.conversion.steps import Stage
from services.placement.errors import LedgerUnavailable
from services.placement.move import Advance, Facts, Kind, Pending, Step, announcer, rebinds_to, unrealized
from services.placement.poller import DIFFERENT_POLLS, is_resync_due
from services.placement.snapshot import (
    UNANNOUNCED,
    FlexibleAddress,
    Held,
    PortFacts,
    Prefix,
    Sequenced,
    settled_path,
)
from tests.simulation.agents import Agent
from tests.simulation.decisions import Decisions
from tests.simulation.engine import Engine
from tests.simulation.fabric import Fabric
from tests.simulation.ledger import AddressSet, Ledger
from tests.simulation.network import LEDGER, Network
from tests.simulation.rows import Address, Claim, ConversionClaim, Node, Port, Rows
from tests.simulation.workers import Call, Commit, Gather, Task, Workers

COMMIT = Commit()
TIMEOUT_S, POLL_S, SWEEP_S = 5.0, 1.0, 5.0
WAIT_FOR_THE_FABRIC = {Stage.ANNOUNCED, Stage.PREPARED}

Edge = tuple[str, str, str]
"""A kind of change, where it was, and what followed: another step, or the code of what it waits for."""


@dataclass
class Controller:
    """All workers of the controller, and the doorbells that wake them."""

    engine: Engine
    decisions: Decisions
    workers: Workers
    network: Network
    agents: dict[UUID, Agent]
    fabric: Fabric
    edges: set[Edge] = field(default_factory=set)  # the steps that were taken
    deaf: bool = False  # doorbells are lost
    bells_lost: int = 0

    def __post_init__(self) -> None:
        self.rows = Rows(self.ring)
        self.ledger = Ledger(lambda target: self.ring(bells.ADDRESS_SET, (target,)))
        self._queued: set[tuple[str, tuple[Any, ...]]] = set()
        self._differs: dict[UUID, int] = {}

    def start(self) -> None:
        self.engine.every(SWEEP_S, "sweep", lambda: self.workers.start("sweep", self.sweep()))
        for node in self.rows.nodes.values():
            self.engine.every(POLL_S, f"poll {node.name}", self._poll(node.id, node.name))

    def _poll(self, node_id: UUID, name: str) -> Callable[[], None]:
        return lambda: self.workers.start(f"poll {name}", self.poll(node_id))

    def ring(self, bell: str, names: tuple[Any, ...]) -> None:
        """Wake a worker, unless the bell is lost; the same bell twice before anybody heard it is one."""
        if (bell, names) in self._queued:
            return
        if self.deaf:
            self.bells_lost += 1
            return
        self._queued.add((bell, names))
        what = f"{bell} {names[0]}"

        def heard() -> None:
            self._queued.discard((bell, names))
            self.workers.start(what, self._task(bell, names))

        self.engine.soon(what, heard, 0.02)

    def _task(self, bell: str, names: tuple[Any, ...]) -> Task:
        name = names[0]
        match bell:
            case bells.NODE:
                return self.sync_node(name)
            case bells.RESYNC:
                return self.sync_node(name, whole=True)
            case bells.OPERATION:
                return self.take(name)
            case bells.REPORT:
                return self.report(name)
            case bells.ADDRESS_SET:
                return self.follow(name)
        raise ValueError(bell)

    # --- calls -------------------------------------------------------------------------------------------------------

    def _agent(self, node_id: UUID, what: str, act: Callable[[Agent], Any], timeout_s: float = TIMEOUT_S) -> Call:
        agent = self.agents[node_id]
        return Call(
            lambda answer: self.network.call(agent.name, f"{agent.name} {what}", lambda: act(agent), timeout_s, answer)
        )

    def _ledger(self, what: str, act: Callable[[], Any]) -> Call:
        return Call(lambda answer: self.network.call(LEDGER, f"ledger {what}", act, TIMEOUT_S, answer))

    # --- sync --------------------------------------------------------------------------------------------------------

    def pending(self, port_id: UUID) -> tuple[Pending, ...]:
        now = self.engine.now
        return tuple(Pending(node.name, node.up(now), failure) for node, failure in self.rows.pending(port_id))

    def _reachable_behind(self, port_id: UUID) -> list[UUID]:
        now = self.engine.now
        return [node.id for node, failure in self.rows.pending(port_id) if node.up(now) and not failure]

    def sync_node(self, node_id: UUID, *, whole: bool = False) -> Task:
        owners = yield from self._sync(node_id, whole=whole)
        yield from self._wake(owners)

    def _sync(self, node_id: UUID, *, whole: bool = False) -> Task:
        """Send a node what it has not confirmed; one that does not answer is taken up when it is heard again."""
        up = self.rows.nodes[node_id].up(self.engine.now)
        batch = self.rows.batch(node_id, whole=whole) if up else None
        if batch is None:
            return []
        raw = batch.message.pack()
        yield COMMIT
        try:
            realized = yield self._agent(node_id, "apply", lambda agent: agent.apply(raw))
        except BaseMismatch:
            return (yield from self._sync(node_id, whole=True))
        except (StaleGeneration, Unavailable):
            return []
        except DomainError as error:
            owners = self.rows.refuse(node_id, error.code)
            yield COMMIT
            return owners
        confirmed = self.rows.confirm(batch, realized, self.decisions.trusts)
        yield COMMIT
        if confirmed is not None:
            return confirmed
        self.engine.note(f"{self.agents[node_id].name} holds something else")
        return [] if isinstance(batch.message, Snapshot) else (yield from self._sync(node_id, whole=True))

    def _sync_port(self, port_id: UUID) -> Task:
        behind = self._reachable_behind(port_id)
        yield COMMIT
        yield from self._sync_nodes(behind, [port_id])

    def _sync_nodes(self, node_ids: Iterable[UUID], of: Collection[UUID]) -> Task:
        settled = yield Gather([self._sync(node_id) for node_id in node_ids])
        yield from self._wake([owner for owners in settled for owner in owners if owner not in of])

    def _wake(self, owners: Iterable[UUID]) -> Task:
        woken = dict.fromkeys(owners)
        if not woken:
            return
        for owner in woken:
            if owner in self.rows.claims:
                self.ring_claim(self.rows.claims[owner])
            if (port := self.rows.ports.get(owner)) and self._unreported(port):
                self.ring(bells.REPORT, (owner,))
        yield COMMIT

    @staticmethod
    def _unreported(port: Port) -> bool:
        return port.set_revision > port.reported_revision or port.ledger_mode != port.mode

    def ring_claim(self, claim: Claim | ConversionClaim) -> None:
        """Wake whoever takes a claim on."""
        if isinstance(claim, Claim):
            self.ring(bells.OPERATION, (claim.operation,))
        else:
            self.ring(bells.CONVERSION_BATCH, (claim.wave, claim.source))

    # --- what nodes must hold: as `services.placement.desired` ------------------------------------------------------

    def derive(self, port: Port) -> None:
        """Bring the entries of `port` up to date on every node."""
        before = self.facts(port)
        if (node := announcer(before.seats)) is not None:
            for prefix in snapshot.announced(before, node):
                self._announce_from(prefix, node)
        self.rows.replace(port.id, self.decisions.port_entries(self.facts(port)), port.id)

    def facts(self, port: Port) -> PortFacts:
        """What decides a port's entries, with the sequences that its addresses have now."""
        rows = self.rows
        claim = rows.claims.get(port.id)
        passage = claim.passage if isinstance(claim, Claim) else None
        where = self.decisions.seats(port.node, passage)
        path = self.decisions.path(claim.stage) if isinstance(claim, ConversionClaim) else settled_path(port.mode)
        held = [
            Held(node, prefix, prefix in rows.carried)
            for prefix, (node, holder) in rows.node_bound.items()
            if holder == port.id
        ]
        return PortFacts(
            port=port.id,
            name=port.name,
            mac=port.mac,
            path=path,
            owns=port.mode == modes.ROUTED,
            seats=where,
            addresses=[
                FlexibleAddress(
                    address.prefix,
                    ip_interface(address.host),
                    rows.sequences.get(address.prefix, UNANNOUNCED),
                    rows.node_bound[address.prefix][0] if address.prefix in rows.carried else None,
                )
                for address in port.addresses
            ],
            node_bound=snapshot.node_bound(
                port.mode,
                held,
                {address.prefix for address in port.addresses},
                where,
                rebinds_to(passage),
                rows.sequences,
            ),
            gateways=[node.id for node in rows.of_role("gateway")] if path and path.mapping else [],
            endpoints={seat.node: rows.nodes[seat.node].endpoint for seat in where},
        )

    def _announce_from(self, prefix: Prefix, node: UUID) -> None:
        """`node` becomes the announcer of `prefix`; the sequence rises if another was."""
        before = self.rows.sequences.get(prefix)
        if before is None:
            self.rows.sequences[prefix] = Sequenced(1, node, None)
        elif before.node != node:
            self.rows.sequences[prefix] = Sequenced(before.current + 1, node, before.node)

    # --- address sets ------------------------------------------------------------------------------------------------

    def _store(self, port: Port, fetched: AddressSet) -> None:
        if fetched.revision <= port.set_revision:
            return
        port.set_revision = fetched.revision
        port.addresses = [Address(*address) for address in fetched.addresses]
        if (converting := self.rows.converting(port.id)) is not None:
            self.rows.swap(converting, replace(converting, settled_at=None))
        for prefix in self.rows.carried.intersection(address.prefix for address in port.addresses):
            node, holder = self.rows.node_bound[prefix]
            if holder == port.id:  # the ledger's from now on, and never given out again
                self.rows.node_bound[prefix] = (node, None)
        self.derive(port)

    def follow(self, target: UUID) -> Task:
        """Fetch a target's addresses from the ledger, realise them, and report."""
        try:
            fetched = yield self._ledger("address set", lambda: self.ledger.address_set(target))
        except NotFound:
            return
        port = self.rows.ports.get(target)
        if port is None:  # its registration came late, after the end
            yield self._ledger("delete target", lambda: self.ledger.delete_target(target))
            return
        self._store(port, fetched)
        behind = self._reachable_behind(port.id)
        claimed = port.id in self.rows.claims
        yield COMMIT
        yield from self._sync_nodes(behind, [port.id])
        yield from self.report(port.id)
        if claimed:
            yield from self._wake([port.id])

    def report(self, port_id: UUID) -> Task:
        """Tell the ledger how far a port's addresses are realised."""
        port, claim = self.rows.ports.get(port_id), self.rows.claims.get(port_id)
        if port is not None and port.ledger_mode != port.mode:
            yield from self._tell_limits(port)
        if port is None or port.set_revision <= port.reported_revision:
            return
        behind = self.pending(port_id)
        revision = port.set_revision
        created = claim is None or claim.kind != Kind.CREATE  # what nobody runs yet is not attached yet
        done = created and self.decisions.is_realized(behind)
        waits = None if done else unrealized(behind).code if behind else "instance.creating"
        yield COMMIT
        try:
            yield self._ledger("report", lambda: self.ledger.report(port_id, revision if done else None, waits))
        except NotFound:
            return
        if done and port.reported_revision < revision:
            port.reported_revision = revision
            yield COMMIT

    def _tell_limits(self, port: Port) -> Task:
        mode = port.mode
        limits = modes.MODES[mode]
        yield COMMIT
        yield self._ledger(
            "register", lambda: self.ledger.register(port.id, port.name, limits.limit_ipv4, limits.limit_ipv6)
        )
        port.ledger_mode = mode
        yield COMMIT

    # --- progress ----------------------------------------------------------------------------------------------------

    def take(self, operation: str) -> Task:
        """Take an operation as far as it goes now."""
        while True:
            claim = self.rows.claim_of(operation)
            if claim is None:
                return
            port = self.rows.ports[claim.port]
            yield COMMIT
            if claim.step is Step.ABANDON:
                yield from self._abandon(claim)
                return
            yield from self._sync_port(port.id)
            try:
                outside = yield from self._outside_facts(claim, port)
            except (Conflict, Invalid, NotFound) as error:
                self._refused(operation, error)
                yield COMMIT
                continue
            reached = self._judge(claim, outside)
            yield COMMIT
            if reached is Step.DONE:
                yield from self.report(port.id)
            if reached in {None, Step.DONE}:
                return

    def _judge(self, judged: Claim, outside: Facts) -> Step | None:
        claim = self.rows.claim_of(judged.operation)
        if claim is None:
            return None
        if claim.step != judged.step:
            return claim.step
        facts = replace(outside, pending=self.pending(claim.port))
        decision = self.decisions.next_step(claim.kind, claim.step, facts)
        operation = self.rows.operations[claim.operation]
        if isinstance(decision, Advance):
            self.edges.add((claim.kind, claim.step, decision.step))
            self._advance(claim, decision.step)
            return decision.step
        operation.state, operation.waits = "waiting", decision.code
        return None

    def _advance(self, claim: Claim, step: Step) -> None:
        following = replace(claim, step=step)
        if not self.rows.swap(claim, following):
            return
        self.engine.note(f"{claim.operation} {claim.kind} {step}")
        port, operation = self.rows.ports[claim.port], self.rows.operations[claim.operation]
        if step is Step.DONE:
            self._finish(following, port)
            operation.state, operation.waits = "succeeded", None
            return
        operation.state, operation.waits = "running", None
        if claim.step is Step.ARCHIVE:  # what it holds of its node is free
            port.node = None
            self.rows.allocations.pop(port.id, None)
        if claim.kind is Kind.RESTART and step is Step.PREPARE:  # no node holds anything of it
            self.adopt(port)
        self.derive(port)

    def adopt(self, port: Port) -> None:
        """Bring a port, of which no node holds anything, to the mode in which it starts."""
        port.mode = self.mode_at_start(port)

    def mode_at_start(self, port: Port) -> str:
        """The mode in which a port starts that is stopped now."""
        return modes.at_start(port.mode, self.rows.stack, port.families, gives_up_ipv4=port.gives_up_ipv4)

    def _finish(self, claim: Claim, port: Port) -> None:
        rows = self.rows
        if claim.kind is not Kind.RESTART:  # which keeps what it holds of its node
            rows.allocations.pop(port.id, None)
            if (held := rows.allocations.pop(claim.operation, None)) is not None:
                rows.allocations[port.id] = held
            if modes.MODES[port.mode].rebinds:
                rows.free_node_bound(port, keep=claim.destination)
        port.node = claim.destination
        rows.swap(claim, None)
        if claim.kind is Kind.DELETE:
            self._forget(port)
        else:
            self.derive(port)

    def _forget(self, port: Port) -> None:
        bound = self.rows.node_bound
        for prefix in [prefix for prefix, (_, holder) in bound.items() if holder == port.id]:
            if prefix in self.rows.carried:  # the ledger's, or about to be: never given out again
                bound[prefix] = (bound[prefix][0], None)
            else:
                del bound[prefix]
        del self.rows.ports[port.id]

    def _refused(self, operation: str, error: DomainError) -> None:
        """The ledger refuses a creation's addresses: it is abandoned, whatever another worker is about."""
        claim = self.rows.claim_of(operation)
        if claim is not None and claim.step is Step.REGISTER:
            self.rows.swap(claim, replace(claim, step=Step.ABANDON))
            self.rows.operations[operation].error = error.code

    def _abandon(self, claim: Claim) -> Task:
        """Leave nothing of a creation behind; its operation says why."""
        try:
            yield self._ledger("delete target", lambda: self.ledger.delete_target(claim.port))
        except Unavailable:
            return
        current, rows = self.rows.claim_of(claim.operation), self.rows
        if current is None:
            return
        rows.allocations.pop(claim.operation, None)
        rows.swap(current, None)
        self._forget(rows.ports[claim.port])
        operation = rows.operations[claim.operation]
        operation.state, operation.waits = "failed", None
        yield COMMIT

    def _outside_facts(self, claim: Claim, port: Port) -> Task:
        try:
            if claim.step is Step.REGISTER:
                fetched = yield from self._register(claim, port)
                if port.id in self.rows.ports:
                    self._store(port, fetched)
                    yield COMMIT
                return Facts(ledger_done=True)
            if claim.step is Step.FORGET:
                yield self._ledger("delete target", lambda: self.ledger.delete_target(port.id))
                return Facts(ledger_done=True)
            if claim.step is Step.ANNOUNCE:
                return Facts(converged=(yield from self._converged(claim, port)))
        except Unavailable as error:
            return Facts(silent=error.message)
        return Facts(disk=None)  # transfers are shown on real stores

    def _register(self, claim: Claim, port: Port) -> Task:
        limits = modes.MODES[port.mode]
        yield self._ledger(
            "register", lambda: self.ledger.register(port.id, port.name, limits.limit_ipv4, limits.limit_ipv6)
        )
        try:
            for fip in claim.wanted:
                yield self._ledger("attach", partial(self.ledger.attach, fip, port.id, f"{claim.operation}-{fip}"))
        except (Conflict, Invalid, NotFound) as error:
            if error.retryable:
                raise LedgerUnavailable(error.message) from error
            raise
        return (yield self._ledger("address set", lambda: self.ledger.address_set(port.id)))

    def _converged(self, claim: Claim, port: Port) -> Task:
        facts = self.facts(port)
        node = announcer(facts.seats)
        prefixes = snapshot.announced(facts, node) if node else []
        if not prefixes or claim.destination is None:
            return True
        yield COMMIT
        for edge in self.rows.of_role("edge"):
            routes = yield self._agent(edge.id, "routes", lambda agent: agent.state() and self.fabric.lookup(prefixes))
            if any(hops != [claim.destination] for hops in routes):
                return False
        return True

    # --- sweep and poll ----------------------------------------------------------------------------------------------

    def sweep(self) -> Task:
        rows = self.rows
        for node in rows.nodes.values():
            if node.generation > node.applied:
                self.ring(bells.NODE, (node.id,))
        for claim in rows.claims.values():
            self.ring_claim(claim)
        for port in rows.ports.values():
            if self._unreported(port):
                self.ring(bells.REPORT, (port.id,))
        yield COMMIT
        for target in (yield self._ledger("lagging", self.ledger.lagging)):
            self.ring(bells.ADDRESS_SET, (target,))
        yield COMMIT

    def poll(self, node_id: UUID) -> Task:
        try:
            state = yield self._agent(node_id, "state", lambda agent: agent.state(), POLL_S)
        except DomainError:
            return
        node = self.rows.nodes[node_id]
        if not node.up(self.engine.now):
            self.ring(bells.NODE, (node_id,))
        node.seen_at = self.engine.now
        if (bell := self._judge_state(node, state)) is not None:
            self.ring(bell, (node_id,))
        yield COMMIT

    def _judge_state(self, node: Node, state: State) -> str | None:
        """The wake-up that a heartbeat calls for."""
        behind = node.generation > node.applied
        same = state.generation == node.generation and state.digest == node.digest.hex()
        if same and not behind and not node.refused:
            self._differs.pop(node.id, None)
            return None
        count = self._differs[node.id] = self._differs.get(node.id, 0) + 1
        if behind:
            return bells.NODE if count < DIFFERENT_POLLS or is_resync_due(count) else None
        return bells.RESYNC if is_resync_due(count) else None

    def fabric_changed(self) -> None:
        """The edge's long poll: whoever waits for the fabric is woken."""
        for claim in self.rows.claims.values():
            waits = claim.step is Step.ANNOUNCE if isinstance(claim, Claim) else claim.stage in WAIT_FOR_THE_FABRIC
            if waits:
                self.ring_claim(claim)
