"""What customers and operators ask for, at random, and what they were promised: the intent that must not be lost.

Instances change as `services.placement.products.instance` lets them: same checks, same scheduler, same choice of
node-bound addresses.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from ipaddress import ip_network
from uuid import UUID

from common.errors import DomainError
from services.placement import modes, scheduler
from services.placement.conversion import steps
from services.placement.conversion.phases import Phase
from services.placement.conversion.steps import Stage
from services.placement.errors import (
    CapacityExhausted,
    ConversionMode,
    ConversionStack,
    InstanceBusy,
    InstanceState,
)
from services.placement.move import Kind, Step
from tests.simulation.fleet import NEEDED, Fleet, Place
from tests.simulation.operators import WEIGHTS, Operators
from tests.simulation.rows import Claim, Port

RUNNING, ARCHIVED, DELETED = "running", "archived", "deleted"


@dataclass
class Requests:
    """The API, and people who use it."""

    controller: Fleet
    most_instances: int
    nat_share: int = 7
    early: bool = False
    promised: dict[UUID, str] = field(default_factory=dict)  # the state each instance shall reach
    accepted: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    operators: Operators = field(init=False)
    _made: int = 0

    def __post_init__(self) -> None:
        self.operators = Operators(self.controller, self)

    # --- at random ---------------------------------------------------------------------------------------------------

    def any(self) -> None:
        """One request, of a kind that the present state may allow; refusals count too, and change nothing."""
        random = self.controller.engine.random
        ports = list(self.controller.rows.ports)
        kinds = {
            "create": 10 if len(ports) < self.most_instances else 1,
            "start": 9,
            "stop": 6,
            "live": 16,
            "cold": 6,
            "restart": 4,
            "convert": 5,
            "revert": 2,
            "delete": 3,
            "attach": 22,
            "detach": 10,
            "move": 16,
            **WEIGHTS,
        }
        kind = random.choices(list(kinds), list(kinds.values()))[0]
        try:
            self._make(kind, ports)
        except DomainError as error:
            self.refused[kind] += 1
            self.controller.engine.note(f"{kind} refused: {error.code}")
        else:
            self.accepted[kind] += 1

    def _make(self, kind: str, ports: list[UUID]) -> None:
        random, rows = self.controller.engine.random, self.controller.rows
        if kind == "create":
            return self.create(self._mode(), self._free_addresses(random.randint(0, 2)))
        if kind in {"attach", "detach", "move"}:
            return self._address(kind)
        if kind in WEIGHTS:
            return self.operators.ask(kind)
        idle = [port for port in ports if port not in rows.claims]
        running = [port for port in idle if rows.ports[port].node is not None]
        archived = [port for port in idle if rows.ports[port].node is None]
        nat = [port for port in idle if rows.ports[port].mode == modes.NAT]
        converted = [port for port in idle if rows.ports[port].mode == modes.HOSTNAT]
        chosen = {
            "start": archived,
            "stop": running,
            "live": running,
            "cold": running,
            "restart": running,
            "delete": idle,
            "convert": nat,
            "revert": converted,
        }[kind] or ports
        if random.random() < 0.05:
            chosen = ports
        if not chosen:
            return self.create(self._mode(), ())
        if kind in steps.CONVERSIONS:
            return self.convert(kind, random.choice(chosen))
        return self.change(Kind(kind), random.choice(chosen))

    def _mode(self) -> str:
        """One that the zone's stack offers."""
        rows = self.controller.rows
        offered = [mode for mode in modes.OF_STACK[rows.stack] if mode != modes.NAT or not rows.nat_closed]
        weights = {modes.ROUTED: 10, modes.NAT: self.nat_share, modes.ISOLATED: 1}
        return self.controller.engine.random.choices(offered, [weights[mode] for mode in offered])[0]

    def _free_addresses(self, number: int) -> tuple[UUID, ...]:
        ledger = self.controller.ledger
        free = [fip for fip in ledger.flexible_ips if ledger.tied(fip) is None]
        return tuple(self.controller.engine.random.sample(free, min(number, len(free))))

    def _address(self, kind: str) -> None:
        """Mostly what can be done, at times what cannot."""
        random, ledger = self.controller.engine.random, self.controller.ledger
        careless = random.random() < 0.05
        bound = self.controller.rows.node_bound
        fips = [
            fip
            for fip in ledger.flexible_ips.values()
            if not (fip.carried and bound[ip_network(fip.address)][1])  # the controller has yet to hear of it
            if careless or (fip.present is None if kind == "attach" else fip.state in {"attached", "attaching"})
        ]
        if not fips:
            return self.create(self._mode(), self._free_addresses(1))
        fip = random.choice(fips)
        if kind == "detach":
            return ledger.detach(fip.id)
        source = ledger.tied(fip.id)
        targets = [
            target.id
            for target in ledger.targets.values()
            if (careless or (target.id != source and ledger.has_room(fip, target))) and self._may_have(target.id)
        ]
        if not targets:
            return self.create(self._mode(), self._free_addresses(1))
        to = random.choice(targets)
        if kind == "attach":
            return ledger.attach(fip.id, to)
        return ledger.move(fip.id, source or to, to)

    def _may_have(self, target: UUID) -> bool:
        """Whether people give an instance addresses already.

        One who gives and takes the very address that a creation is about to attach wedges it: the address leaves when
        the creation ends, and the creation waits for it to have left (seed 2479, when `early` was all there was).
        """
        claim = self.controller.rows.claims.get(target)
        return self.early or not (isinstance(claim, Claim) and claim.step is Step.REGISTER)

    # --- instances ---------------------------------------------------------------------------------------------------

    def create(self, mode: str, wanted: tuple[UUID, ...]) -> None:
        controller = self.controller
        self._made += 1
        number = controller.engine.random.getrandbits(128)
        port = Port(
            UUID(int=number),
            f"i{self._made}",
            f"02:00:00:00:{self._made >> 8:02x}:{self._made & 255:02x}",
            mode,
            ledger_mode=mode,
        )
        destination = self._place(port)
        controller.rows.ports[port.id] = port
        self.controller.claim(port, Kind.CREATE, destination, wanted)
        self.promised[port.id] = RUNNING

    def change(self, kind: Kind, port_id: UUID) -> None:
        rows = self.controller.rows
        port = rows.ports[port_id]
        if port_id in rows.claims:
            raise InstanceBusy(f"{port.name} is being changed")
        running = None if kind is Kind.DELETE else kind is not Kind.START
        if running is not None and (port.node is not None) != running:
            raise InstanceState(f"{port.name} cannot {kind} now")
        if kind is Kind.RESTART:
            self.controller.restart(port)
            return
        destination = None
        if kind is Kind.START:
            destination = self._place(replace(port, mode=self.controller.mode_at_start(port)))
            self.controller.adopt(port)
        elif kind in {Kind.LIVE, Kind.COLD}:
            destination = self._place(port)
        self.controller.claim(port, kind, destination)
        self.controller.derive(port)
        self.controller.unstopped.discard(port_id)
        self.promised[port_id] = {Kind.STOP: ARCHIVED, Kind.DELETE: DELETED}.get(kind, RUNNING)

    def convert(self, kind: str, port_id: UUID) -> None:
        """Its owner takes a port off the central NAT, or puts it back."""
        controller = self.controller
        rows, port, conversion = controller.rows, controller.rows.ports[port_id], controller.conversion
        if port_id in rows.claims:
            raise InstanceBusy(f"{port.name} is being changed")
        if kind == steps.CONVERT:
            refused = rows.stack == "nat" or (conversion is not None and conversion.phase is Phase.ABORTING)
        else:
            refused = rows.stack == "routed" or rows.nat_closed
        if refused:
            raise ConversionStack(f"a zone of stack {rows.stack} does not {kind}")
        if port.mode != (modes.NAT if kind == steps.CONVERT else modes.HOSTNAT):
            raise ConversionMode(f"{port.name} is in mode {port.mode}")
        stage = Stage.NAT if kind == steps.CONVERT else Stage.SWITCHED
        controller.begin(port, kind, stage, "owners")

    def _place(self, port: Port) -> Place:
        """The best hypervisor with room and addresses, and those the port gets there."""
        rows, now = self.controller.rows, self.controller.engine.now
        exclude = frozenset({port.node} if port.node else ())
        for host in scheduler.candidates(rows.hosts(now), NEEDED, exclude=exclude):
            bound = self.controller.bound_on(port, rows.nodes[host.id])
            if bound is not None:
                return host.id, bound
        raise CapacityExhausted("no hypervisor that answers has room")

    def comes_to(self, port: UUID, *, runs: bool) -> None:
        """Its change was cancelled."""
        self.promised[port] = RUNNING if runs else ARCHIVED

    def make_room(self, besides: UUID) -> None:
        """Stop an instance that runs on another node than `besides`. Raises CapacityExhausted."""
        rows = self.controller.rows
        running = [port.id for port in rows.ports.values() if port.node not in {None, besides}]
        idle = [port for port in running if port not in rows.claims]
        if not idle:
            raise CapacityExhausted("nothing can be stopped to make room")
        self.change(Kind.STOP, self.controller.engine.random.choice(idle))

    # --- promises that changed on the way ---------------------------------------------------------------------------

    def settle_promises(self) -> None:
        """What a creation that failed, or a target that went, leaves of the promises."""
        rows, ledger = self.controller.rows, self.controller.ledger
        last = {operation.resource: operation for operation in rows.operations.values()}
        for port_id, operation in last.items():
            if operation.kind == Kind.CREATE and operation.state == "failed" and isinstance(port_id, UUID):
                self.promised[port_id] = DELETED
        for port_id in self.controller.unstopped:
            self.promised[port_id] = RUNNING
        for fip, target in ledger.promised.items():
            if target is not None and (target not in ledger.targets or target not in rows.ports):  # registered late
                ledger.promised[fip] = None
