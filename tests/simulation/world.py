"""A whole cloud under simulation: `run(seed)` plays one story to its end and tells what happened in it.

Production code decides (`decisions`, the agents' reconcilers, the ledger's rows); clock, randomness, network, the
controller's rows and the fabric are ours. The same seed plays the same story.
"""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_network
from uuid import UUID

from dataplane.entries import Blackhole, Fence
from dataplane.memory import World as Guests
from services.ipam.wire import FlexibleIPKind
from services.netagent import reconciler
from services.placement.snapshot import Prefix
from tests.simulation import ending
from tests.simulation.agents import Agent
from tests.simulation.controller import Edge
from tests.simulation.decisions import Admit, Decisions
from tests.simulation.engine import Engine
from tests.simulation.fabric import Fabric
from tests.simulation.faults import Faults
from tests.simulation.fleet import Fleet
from tests.simulation.invariants import Broken, Invariants
from tests.simulation.network import Network
from tests.simulation.person import LOOKS_S, Person
from tests.simulation.requests import Requests
from tests.simulation.rows import Node
from tests.simulation.workers import Workers

VERIFY_S = 4.0
SETTLING_S, LATEST_S = 120.0, 10.0
PAUSE_S = 0.2  # between requests, on average
KINDS = (FlexibleIPKind.STANDARD, FlexibleIPKind.FAILOVER)
CONVERTED_S = 1200.0  # by then a conversion is over, whatever happened


@dataclass(frozen=True)
class Size:
    """How much happens in one seed."""

    requests: int = 200
    faults: int = 12
    ipv4: int = 16
    ipv6: int = 6
    converts: bool | None = None  # the zone; None: in every other seed
    early: bool = False  # people give addresses to instances that are not registered yet: see `Requests`


@dataclass
class Outcome:
    """What one seed did, and which promise it saw broken."""

    seed: int
    nodes: int
    addresses: int
    requests: Counter[str]
    refused: Counter[str]
    faults: Counter[str]
    edges: set[Edge]
    dispatched: int
    checks: int
    trace: str
    broken: str | None = None
    rule: str | None = None
    story: list[str] = field(default_factory=list)


class Cloud:
    """One zone of stack `dual`: an edge, two gateways, three to five hypervisors, their controller and ledger."""

    def __init__(self, seed: int, decisions: Decisions, size: Size) -> None:
        self.size = size
        self.engine = Engine(seed)
        self.agents: dict[UUID, Agent] = {}
        self.guests = Guests()
        self.fabric = Fabric(self.engine, self._fabric_changed)
        self.controller = Fleet(
            self.engine, decisions, Workers(self.engine), Network(self.engine), self.agents, self.fabric
        )
        self.invariants = Invariants(self.controller)
        hypervisors = self.engine.random.randint(3, 5)
        self._nodes(hypervisors)
        self._addresses()
        self.requests = Requests(self.controller, most_instances=hypervisors * 4, early=size.early)
        self.operators = self.requests.operators
        self.faults = Faults(self.controller)
        self.person: Person | None = None
        self.engine.after_each = self.invariants.check
        if size.converts or (size.converts is None and seed % 2):
            self.person = Person.number(seed // 2, self.controller, self.faults)
            self.engine.after_each = self._after_each
            self.requests.nat_share = 30
            self.controller.rows.stack = self.engine.random.choice(["nat", "dual"])

    def _nodes(self, hypervisors: int) -> None:
        names = ["edge", "gateway-1", "gateway-2", *(f"hypervisor-{number}" for number in range(1, hypervisors + 1))]
        rows = self.controller.rows
        for number, name in enumerate(names, 1):
            role = name.split("-", maxsplit=1)[0]
            ends = IPv4Address(f"172.31.{number}.2"), IPv4Address(f"172.30.{number}.2")
            node = Node(UUID(int=number), name, role, *ends)
            if role == "hypervisor":
                node.prefixes = [ip_network(f"10.{number}.0.0/28"), ip_network(f"2001:db8:{number:x}::/60")]
                node.vcpus = 6
            rows.nodes[node.id] = node
            self.agents[node.id] = Agent(node.id, name, role, self.guests, self._touched)
        rows.zone_prefixes = [IPv4Network("198.18.0.0/24"), IPv6Network("2001:db8:100::/48")]
        self.controller.derive_zone()

    def _addresses(self) -> None:
        ledger = self.controller.ledger
        for number in range(self.size.ipv4):
            self._reserve(f"198.18.0.{number + 1}/32", None, KINDS[number < self.size.ipv4 // 4])
        for number in range(self.size.ipv6):
            prefix = f"2001:db8:100:{number + 1:x}::"
            self._reserve(f"{prefix}/64", f"{prefix}5", KINDS[number < self.size.ipv6 // 3])
        assert len(ledger.flexible_ips) == self.size.ipv4 + self.size.ipv6

    def _reserve(self, address: str, interface_id: str | None, kind: FlexibleIPKind) -> None:
        fip = UUID(int=(1 << 100) + len(self.controller.ledger.flexible_ips))
        self.controller.ledger.reserve(fip, address, interface_id, kind)
        self.invariants.know(ip_network(address), fip)

    def _touched(self, agent: Agent) -> None:
        self.fabric.touched(agent)
        self.invariants.touched(agent)
        if agent.role == "edge":
            self._holds_apart(agent)

    def _holds_apart(self, edge: Agent) -> None:
        nodes = {node.neighbour: node.id for node in self.controller.rows.nodes.values()}
        drops = edge.kernel.table(Blackhole).values()
        self.fabric.blackholes = {(nodes[row.neighbour], row.prefix) for row in drops if row.neighbour in nodes}
        self.fabric.hold_apart({nodes[row.neighbour] for row in edge.kernel.table(Fence).values()}, self.agents)

    def _fabric_changed(self, prefixes: Iterable[Prefix]) -> None:
        self.invariants.rerouted(prefixes)
        self.controller.fabric_changed()

    def _after_each(self) -> None:
        self.invariants.check()
        if self.person is not None:
            self.person.watch()

    def _request(self) -> None:
        if self.person is None or not (self.person.alone and self.person.leads):
            self.requests.any()
        if sum(self.requests.accepted.values()) < self.size.requests:
            self.engine.after(self.engine.random.expovariate(1 / PAUSE_S), "request", self._request)

    def play(self) -> None:
        """The whole story. Raises Broken."""
        engine, size = self.engine, self.size
        self.controller.start()
        for agent in self.agents.values():
            engine.every(VERIFY_S, f"{agent.name} verifies", agent.watch)
        engine.every(2.0, "nothing is missing", self.invariants.untouched)
        engine.run_until(3.0)
        length = size.requests * PAUSE_S
        self._request()
        for _ in range(size.faults):
            engine.after(engine.random.uniform(0.1 * length, length), "fault", self.faults.any)
        if self.person is not None:
            engine.after(engine.random.uniform(0.2, 0.5) * length, "person", lambda: self._lead(self.person))
        engine.run_until(3.0 + length)
        while sum(self.requests.accepted.values()) < size.requests or (self.person and not self.person.done):
            if engine.now > CONVERTED_S:
                conversion = self.controller.conversion
                raise Broken(
                    "unfinished", f"{conversion and (conversion.phase, conversion.paused)} after all this time"
                )
            if sum(self.requests.accepted.values()) >= size.requests:
                self.operators.wind_up()
            engine.run_until(engine.now + 1.0)
        self.faults.heal()
        self.controller.workers.crash_commits = 0
        for agent in self.agents.values():
            if not agent.alive:
                agent.restart()
        self._settle()

    def _lead(self, person: Person | None) -> None:
        """A conversion of the zone, and more faults while it lasts."""
        assert person is not None
        engine = self.engine
        engine.every(LOOKS_S, "person", person.look)
        for _ in range(self.size.faults):
            engine.after(engine.random.uniform(2.0, 60.0), "fault", self.faults.any)

    def _settle(self) -> None:
        """Let sweeps do what is left to do, for so long at most. Raises Broken."""
        deadline = self.engine.now + SETTLING_S
        self.engine.run_until(self.engine.now + LATEST_S)  # until then, messages of the last fault arrive
        while True:
            try:
                self.operators.wind_up()
                self.invariants.untouched()
                ending.judge(self.requests)
            except Broken:
                if self.engine.now >= deadline:
                    raise
                self.engine.run_until(self.engine.now + 2.0)
            else:
                return


@contextmanager
def admitting(admit: Admit) -> Iterator[None]:
    """Agents admit messages by `admit`."""
    before: Admit = vars(reconciler)["admit"]
    vars(reconciler)["admit"] = admit
    try:
        yield
    finally:
        vars(reconciler)["admit"] = before


@contextmanager
def rarely_collected() -> Iterator[None]:
    """What a seed makes lives about as long as the seed: looking for garbage in it meanwhile finds little."""
    before = gc.get_threshold()
    gc.set_threshold(100_000, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


def run(seed: int, decisions: Decisions | None = None, size: Size | None = None, *, tell: bool = False) -> Outcome:
    """Play one seed; with `tell`, keep the story for a person to read."""
    chosen = decisions or Decisions()
    with admitting(chosen.admit), rarely_collected():
        cloud = Cloud(seed, chosen, size or Size())
        if tell:
            cloud.engine.story = []
        broken: Broken | None = None
        try:
            cloud.play()
        except Broken as found:
            broken = found
    controller = cloud.controller
    return Outcome(
        seed=seed,
        nodes=len(cloud.agents),
        addresses=len(controller.ledger.flexible_ips),
        requests=cloud.requests.accepted,
        refused=cloud.requests.refused,
        faults=cloud.faults.happened,
        edges=controller.edges,
        dispatched=cloud.engine.dispatched,
        checks=cloud.invariants.checks,
        trace=cloud.engine.trace,
        broken=str(broken) if broken else None,
        rule=broken.rule if broken else None,
        story=cloud.engine.story or [],
    )
