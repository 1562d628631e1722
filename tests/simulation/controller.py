"""The controller's tasks as generators: re-read, act, write; a `Commit` ends every transaction.

Each follows the production task of the same name step by step (`sync`, `address_sets`, `progress`, `reconcile`,
`poller`); what those decide by pure functions is decided by the same functions here.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any
from uuid import UUID

from common.errors import Conflict, DomainError, Invalid, NotFound, Unavailable
from services.netagent.errors import BaseMismatch, StaleGeneration
from services.netagent.wire import HealthCheck, Snapshot, State
from services.placement import bells, modes, snapshot
from services.placement.conversion.steps import Path, Stage
from services.placement.edges import EdgeView
from services.placement.errors import LedgerUnavailable
from services.placement.move import (
    AT_HOME,
    OF_DISK,
    OF_LEDGER,
    Advance,
    Facts,
    Kind,
    Pending,
    Step,
    Wait,
    announcer,
    rebinds_to,
    unrealized,
)
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
from tests.simulation.rows import Address, Claim, ConversionClaim, Node, Port, Rows, passage_of
from tests.simulation.workers import Call, Commit, Gather, Task, Workers

COMMIT = Commit()
EVERY = ("every",)
TIMEOUT_S, POLL_S, SWEEP_S = 5.0, 1.0, 5.0
WAIT_FOR_THE_FABRIC = {Stage.ANNOUNCED, Stage.PREPARED}

Edge = tuple[str, str, str]
"""A kind of change, where it was, and what followed: another step, or the code of what it waits for."""


def _checks(port: Port, path: Path | None) -> list[HealthCheck]:
    asked = [(address.host, address.health_check) for address in port.addresses if address.health_check is not None]
    found = [snapshot.health_check(port.id, path, host, spec) for host, spec in asked]
    return [check for check in found if check is not None]


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
        self.ledger = Ledger(lambda target: self.ring(bells.ADDRESS_SET, (target,)), lambda: self.engine.now)
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
        if confirmed and any(fence.node == node_id for fence in self.rows.address_fences.values()):
            self.ring(bells.ADDRESS_FENCES, EVERY)
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
            self.ring(bells.OPERATION, (claim.wave or claim.operation,))
        else:
            self.ring(bells.CONVERSION_BATCH, (claim.wave, claim.source))

    # --- what nodes must hold: as `services.placement.desired` ------------------------------------------------------

    def derive(self, port: Port) -> None:
        """Bring the entries of `port` up to date on every node."""
        facts = self.facts(port)
        if (node := announcer(facts.seats)) is not None:
            risen = [self._announce_from(prefix, node) for prefix in snapshot.announced(facts, node)]
            facts = self.facts(port) if any(risen) else facts
        for node_id in self.rows.replace(port.id, self.decisions.port_entries(facts), port.id):
            if self.rows.nodes[node_id].role == "edge":  # nobody waits for checks
                self.ring(bells.NODE, (node_id,))

    def facts(self, port: Port) -> PortFacts:
        """What decides a port's entries, with the sequences that its addresses have now."""
        rows = self.rows
        claim = rows.claims.get(port.id)
        passage = passage_of(claim)
        where = self.decisions.seats(port.node, passage)
        path = self.decisions.path(claim.stage) if isinstance(claim, ConversionClaim) else settled_path(port.mode)
        held = [Held(rows.node_bound[prefix][0], prefix, prefix in rows.carried) for prefix in rows.held_by(port.id)]
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
                    address.host,
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
            checks=[] if claim is not None and claim.kind in {Kind.CREATE, Kind.DELETE} else _checks(port, path),
            edges=[node.id for node in rows.of_role("edge")] if any(one.candidates for one in port.addresses) else [],
            endpoints={seat.node: rows.nodes[seat.node].endpoint for seat in where},
        )

    def _announce_from(self, prefix: Prefix, node: UUID) -> bool:
        """`node` becomes the announcer of `prefix`; whether the sequence rises, for another was."""
        before = self.rows.sequences.get(prefix)
        if before is None:
            self.rows.sequences[prefix] = Sequenced(1, node, None)
        elif before.node != node:
            self.rows.sequences[prefix] = Sequenced(before.current + 1, node, before.node)
        return before is None or before.node != node

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
        created = claim is None or claim.kind != Kind.CREATE or not port.addresses  # what nobody runs is not attached
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

    def take(self, name: str) -> Task:
        """Take an Operation, or all those of a wave, as far as they go now."""
        together = self.rows.claimed_by(name)
        yield COMMIT
        while together:
            together = yield from self._step(together)

    def _step(self, port_ids: list[UUID]) -> Task:
        """One step of each port that is due; those that have another one at once."""
        behind = dict.fromkeys(node for port in port_ids for node in self._reachable_behind(port))
        yield COMMIT
        yield from self._sync_nodes(behind, port_ids)
        claims = [claim for port in port_ids if isinstance(claim := self.rows.claims.get(port), Claim)]
        again, outside = [], (yield from self._ask_fabric(claims))
        for claim in claims:
            try:
                if claim.step in OF_LEDGER:
                    outside[claim.port] = yield from self._ask_ledger(claim)
                elif claim.step in OF_DISK:
                    outside[claim.port] = Facts(disk=(yield from self._ask_disk(claim)))
                elif claim.step is Step.ABANDON:
                    yield from self._abandon(claim)
            except (Conflict, Invalid, NotFound) as error:
                del outside[claim.port]
                again += [claim.port] if self._refused(claim.operation, error) else []
                yield COMMIT
        reached = self._judge([claim for claim in claims if claim.port in outside], outside)
        yield COMMIT
        for port in (port for port, step in reached.items() if step is Step.DONE):
            yield from self.report(port)
        return [*again, *(port for port, step in reached.items() if step is not Step.DONE)]

    def _ask_fabric(self, claims: Sequence[Claim]) -> Task:
        """Whether the edge sends every announced address to its destination, and there alone."""
        facts = {claim.port: Facts() for claim in claims}
        waiting = [claim for claim in claims if claim.step is Step.ANNOUNCE]
        if not waiting:
            return facts
        announced = {claim.port: self._announced(self.rows.ports[claim.port]) for claim in waiting}
        try:
            view = yield from self._edge_view([prefix for prefixes in announced.values() for prefix in prefixes])
        except Unavailable as error:
            return facts | {claim.port: Facts(silent=error.message) for claim in waiting}
        for claim in waiting:
            node = claim.destination
            facts[claim.port] = Facts(converged=node is None or view.all_send(announced[claim.port], node))
        return facts

    def _announced(self, port: Port) -> list[Prefix]:
        facts = self.facts(port)
        node = announcer(facts.seats)
        return snapshot.announced(facts, node) if node else []

    def _edge_view(self, prefixes: list[Prefix]) -> Task:
        if not prefixes:
            return EdgeView({}, {})
        hops: dict[Prefix, list[list[str]]] = {prefix: [] for prefix in prefixes}
        for edge in self.rows.of_role("edge"):
            routes = yield self._agent(edge.id, "routes", lambda agent: agent.state() and self.fabric.lookup(prefixes))
            for prefix, found in zip(prefixes, routes, strict=True):
                hops[prefix].append([str(node) for node in found])
        return EdgeView(hops, {node: frozenset({str(node)}) for node in self.rows.nodes})

    def _judge(self, judged: Sequence[Claim], outside: Mapping[UUID, Facts]) -> dict[UUID, Step]:
        """The step each port has reached that went on; one at another step than judged is another worker's by now."""
        reached: dict[UUID, Step] = {}
        for before in judged:
            claim = self.rows.claims.get(before.port)
            if not isinstance(claim, Claim):
                continue
            if (claim.step, claim.destination) != (before.step, before.destination):
                reached[claim.port] = claim.step
                continue
            node = self.rows.nodes[claim.destination] if claim.destination else None
            apart = node.name if node and node.fence else None
            facts = replace(outside[claim.port], pending=self.pending(claim.port), fenced=apart)
            decision = self.decisions.next_step(claim.kind, claim.step, facts)
            operation = self.rows.operations[claim.operation]
            if isinstance(decision, Advance):
                self.edges.add((claim.kind, claim.step, decision.step))
                self._advance(claim, decision.step)
                reached[claim.port] = decision.step
            else:
                self.edges.add(("move", claim.step, decision.code))
                operation.state, operation.waits = "waiting", decision.code
        return reached

    def _advance(self, claim: Claim, step: Step) -> None:
        following = replace(claim, step=step)
        if not self.rows.swap(claim, following):
            return
        self.engine.note(f"{claim.operation} {claim.kind} {step}")
        port, operation = self.rows.ports[claim.port], self.rows.operations[claim.operation]
        if step is Step.DONE:
            self._finish(following, port)
            operation.state, operation.waits = "cancelled" if claim.undone else "succeeded", None
            return
        operation.state, operation.waits = "running", None
        if claim.step is Step.ARCHIVE:  # what it holds of its node is free
            port.node = None
            self.rows.allocations.pop(port.id, None)
            if modes.MODES[port.mode].rebinds:
                self.rows.free_node_bound(port, keep=claim.destination)
        if claim.kind in {Kind.RESTART, Kind.COLD} and step is Step.PREPARE:  # no node holds anything of it
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
        if claim.kind not in AT_HOME:
            rows.allocations.pop(port.id, None)
            if (held := rows.allocations.pop(claim.operation, None)) is not None:
                rows.allocations[port.id] = held
            if modes.MODES[port.mode].rebinds:
                rows.free_node_bound(port, keep=claim.destination)
        port.node = claim.destination
        rows.swap(claim, None)
        for node in [node for node in (claim.source, claim.destination) if node in rows.works]:
            self.ring(bells.NODE_WORK, (node,))
        if claim.kind is Kind.DELETE:
            self._forget(port)
        else:
            self.derive(port)

    def _forget(self, port: Port) -> None:
        bound = self.rows.node_bound
        for prefix in self.rows.held_by(port.id):
            if prefix in self.rows.carried:  # the ledger's, or about to be: never given out again
                bound[prefix] = (bound[prefix][0], None)
            else:
                del bound[prefix]
        del self.rows.ports[port.id]

    def _refused(self, operation: str, error: DomainError) -> bool:
        """The ledger refuses a creation's addresses: it is abandoned, whatever another worker is about."""
        claim = self.rows.claim_of(operation)
        if claim is None or claim.step is not Step.REGISTER:
            return False
        self.rows.operations[operation].error = error.code
        return self.rows.swap(claim, replace(claim, step=Step.ABANDON))

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

    def _ask_ledger(self, claim: Claim) -> Task:
        """Tell the ledger of a port's coming or going. Raises its refusal."""
        port = self.rows.ports[claim.port]
        try:
            if claim.step is Step.FORGET:
                yield self._ledger("delete target", lambda: self.ledger.delete_target(port.id))
                return Facts(ledger_done=True)
            fetched = yield from self._register(claim, port)
        except Unavailable as error:
            return Facts(silent=error.message)
        if port.id in self.rows.ports:
            self._store(port, fetched)
            yield COMMIT
        return Facts(ledger_done=True)

    def _ask_disk(self, claim: Claim) -> Task:
        """What is still to be waited for until a disk's step is done; transfers are shown on real stores."""
        node_id = claim.destination if claim.step is Step.RESTORE else claim.source
        node = self.rows.nodes[node_id] if node_id else None
        if node is None:
            return None
        if node.fenced and claim.step is not Step.RESTORE:  # another node discards it; its guest may have it open
            text = f"{node.name} is fenced"
            return None if claim.step is Step.DISCARD else Wait("node.fenced", text, "it is evacuated")
        silent = unrealized((Pending(node.name, up=False),))
        if not node.up(self.engine.now):
            return silent
        try:
            yield self._agent(node.id, "disk", lambda agent: agent.state())
        except Unavailable:
            return silent
        return None

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
