"""What goes wrong: each fault begins, lasts a while, and ends; all are healed before the last judgement."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import UUID

from common.errors import DomainError
from dataplane.entries import Anchor, Entry, Forward, GuardAddress, Inbound, Leg, Outbound
from services.netagent import wire
from services.placement import modes
from services.placement.conversion import phases, steps
from tests.simulation.agents import Agent
from tests.simulation.controller import SWEEP_S, TIMEOUT_S
from tests.simulation.fleet import Fleet
from tests.simulation.network import LEDGER, Silence
from tests.simulation.rows import EPOCH, Port

Heal = Callable[[], None]
AWAY_S = (3.0, 30.0)  # so long is a host that seems dead
TABLES: dict[str, list[type[Entry]]] = {
    "hypervisor": [Leg, GuardAddress, Forward, Anchor],
    "gateway": [Inbound, Outbound],
}


@dataclass
class Faults:
    """Begins faults at random and ends every one of them."""

    controller: Fleet
    over: bool = False
    happened: Counter[str] = field(default_factory=Counter)
    _open: dict[int, Heal] = field(default_factory=dict)
    _cuts: Counter[str] = field(default_factory=Counter)  # by place: one ends when the last does
    _number: int = 0

    def any(self) -> None:
        """One fault, anywhere, for a while."""
        if self.over:
            return
        kinds = {
            self.losing: 3,
            self.doubling: 3,
            self.slowing: 4,
            self.management_cut: 4,
            self.ledger_cut: 2,
            self.fabric_cut: 3,
            self.workers_dying: 4,
            self.agent_killed: 4,
            self.agent_dying_inside: 5,
            self.rebooted: 1,
            self.host_dead: 3,
            self.partitioned: 4,
            self.disk_lost: 2,
            self.kernel_altered: 5,
            self.entries_refused: 4,
            self.bells_lost: 3,
            self.empty_snapshot: 3,
        }
        if self.controller.conversion is not None:
            kinds |= {
                self.guest_silent: 5,
                self.wrong_tenant: 1,
                self.announced_twice: 2,
                self.silent_for_long: 1,
                self.edge_cut: 3,
                self.strict_filter: 2,
            }
        random = self.controller.engine.random
        random.choices(list(kinds), list(kinds.values()))[0]()

    def heal(self) -> None:
        """End all that lasts, and let nothing begin any more."""
        self.over = True
        for number in list(self._open):
            self._end(number)

    # --- how a fault lasts -------------------------------------------------------------------------------------------

    def _begin(self, name: str, heal: Heal, most_s: float, least_s: float = 0.05) -> None:
        engine = self.controller.engine
        self.happened[name.split(" ", maxsplit=1)[0]] += 1
        engine.note(f"fault: {name}")
        self._number += 1
        number = self._number
        self._open[number] = heal
        engine.after(engine.random.uniform(least_s, max(least_s, most_s)), f"{name} ends", lambda: self._end(number))

    def _end(self, number: int) -> None:
        heal = self._open.pop(number, None)
        if heal is not None:
            heal()

    def _once(self, name: str) -> None:
        self.happened[name.split(" ", maxsplit=1)[0]] += 1
        self.controller.engine.note(f"fault: {name}")

    def _node(self, *roles: str) -> Agent:
        agents = [agent for agent in self.controller.agents.values() if not roles or agent.role in roles]
        return self.controller.engine.random.choice(agents)

    # --- the network -------------------------------------------------------------------------------------------------

    def losing(self) -> None:
        network = self.controller.network
        network.lose_share = 0.2
        self._begin("losing", lambda: setattr(network, "lose_share", 0.0), 4.0)

    def doubling(self) -> None:
        network = self.controller.network
        network.double_share = 0.4
        self._begin("doubling", lambda: setattr(network, "double_share", 0.0), 4.0)

    def slowing(self) -> None:
        """Some messages take seconds: they arrive after later ones, and after their sender gave up."""
        network = self.controller.network
        network.slow_share = 0.2
        self._begin("slowing", lambda: setattr(network, "slow_share", 0.0), 4.0)

    def management_cut(self) -> None:
        self._cut(self._node().name, "management_cut")

    def ledger_cut(self) -> None:
        self._cut(LEDGER, "ledger_cut")

    def _cut(self, place: str, name: str, least_s: float = 0.05) -> None:
        self._cuts[place] += 1
        self.controller.network.cut.add(place)

        def heal() -> None:
            self._cuts[place] -= 1
            if not self._cuts[place]:
                self.controller.network.cut.discard(place)

        self._begin(f"{name} {place}", heal, 8.0, least_s)

    def fabric_cut(self) -> None:
        agent, fabric = self._node("hypervisor"), self.controller.fabric
        noticed = self.controller.engine.random.random() < 0.5
        fabric.sever(agent, noticed=noticed)
        self._begin(f"fabric_cut {agent.name}", lambda: fabric.mend(agent), 6.0)

    def severed_for_long(self, node: UUID) -> None:
        """The fabric loses sight of a node, which is heard all the while, for longer than a port may take."""
        agent, fabric = self.controller.agents[node], self.controller.fabric
        fabric.sever(agent, noticed=True)
        self._begin(f"severed_for_long {agent.name}", lambda: fabric.mend(agent), 0.0, steps.OVERDUE_S + 5)

    def bells_lost(self) -> None:
        controller = self.controller
        controller.deaf = True
        self._begin("bells_lost", lambda: setattr(controller, "deaf", False), 6.0)

    def partitioned(self) -> None:
        """Nobody reaches a host any more, which goes on with what it was told; the fabric may still hear it."""
        agent, fabric, random = (
            self._node("hypervisor", "gateway"),
            self.controller.fabric,
            self.controller.engine.random,
        )
        lasts_s = random.uniform(*AWAY_S)
        if agent.role == "hypervisor" and random.random() < 0.5:
            fabric.sever(agent, noticed=random.random() < 0.5)
            self._begin(f"severed {agent.name}", lambda: fabric.mend(agent), lasts_s, lasts_s)
        self._cut(agent.name, "partitioned", lasts_s)

    # --- processes ---------------------------------------------------------------------------------------------------

    def workers_dying(self) -> None:
        self.controller.workers.crash_commits += self.controller.engine.random.randint(1, 5)
        self._once("workers_dying")

    def agent_killed(self) -> None:
        agent = self._node()
        agent.kill()
        self._restart("agent_killed", agent)

    def agent_dying_inside(self) -> None:
        """The process ends at its next write to one table: some of a change is made, the rest is not."""
        agent = self._node("hypervisor", "gateway")
        agent.dies_at = self.controller.engine.random.choice(TABLES[agent.role])
        self._restart("agent_dying_inside", agent)

    def rebooted(self) -> None:
        agent = self._node("hypervisor", "gateway")
        agent.reboot()
        self._restart("rebooted", agent)

    def host_dead(self) -> None:
        """Power off; it comes back some time, before, while or after it is evacuated."""
        agent = self._node("hypervisor", "hypervisor", "gateway")
        agent.reboot()
        self._restart("host_dead", agent, self.controller.engine.random.uniform(*AWAY_S))

    def disk_lost(self) -> None:
        agent = self._node()
        agent.lose_disk()
        self._restart("disk_lost", agent)

    def _restart(self, name: str, agent: Agent, least_s: float = 0.05) -> None:
        def start() -> None:
            agent.dies_at = None
            if not agent.alive:
                agent.restart()

        self._begin(f"{name} {agent.name}", start, 3.0, least_s)

    # --- what a zone's conversion watches ----------------------------------------------------------------------------

    def guest_silent(self, port: UUID | None = None) -> None:
        """A guest answers nobody any more, for longer than a verdict waits."""
        controller = self.controller
        ports = list(controller.rows.ports)
        chosen = port or (controller.engine.random.choice(ports) if ports else None)
        if chosen is not None:
            controller.silent.add(chosen)
            self._begin("guest_silent", lambda: controller.silent.discard(chosen), 40.0, steps.VERIFY_S + 5)

    def wrong_tenant(self) -> None:
        node = self._node("hypervisor").id
        self.controller.misdelivered[node] = self.controller.misdelivered.get(node, 0) + 1
        self._once("wrong_tenant")

    def announced_twice(self, port: Port | None = None) -> None:
        """Somebody else announces a converted port's address as well as its hypervisor does."""
        controller = self.controller
        ports = [port] if port else [p for p in controller.rows.ports.values() if p.mode == modes.HOSTNAT]
        found = [(prefix, one.node) for one in ports for prefix in one.public]
        if found:
            prefix, holder = controller.engine.random.choice(found)
            others = [node.id for node in controller.rows.of_role("hypervisor") if node.id != holder]
            controller.fabric.twice[prefix] = controller.engine.random.choice(others)

            def heal() -> None:
                controller.fabric.twice.pop(prefix, None)

            self._begin("announced_twice", heal, 9.0, SWEEP_S + 1)

    def silent_for_long(self, name: str | None = None) -> None:
        """Nobody hears a node for so long that a conversion counts it as stale."""
        self._cut(name or self._node().name, "silent_for_long", phases.STALE_S + 5)

    def cut_off(self, node: UUID) -> None:
        """Nobody reaches a node for longer than a request waits, so that it is seen to be behind."""
        self._cut(self.controller.agents[node].name, "management_cut", TIMEOUT_S + 1)

    def edge_cut(self) -> None:
        self._cut("edge", "edge_cut")

    def strict_filter(self) -> None:
        self.controller.strict = True
        self._begin("strict_filter", lambda: setattr(self.controller, "strict", False), 6.0)

    # --- kernels -----------------------------------------------------------------------------------------------------

    def kernel_altered(self) -> None:
        agent = self._node("hypervisor", "gateway")
        table = agent.alter(self.controller.engine.random)
        self._once(f"kernel_altered {agent.name} {table}")

    def entries_refused(self) -> None:
        """The kernel takes no writes to one table for some addresses."""
        agent, random = self._node("hypervisor", "gateway"), self.controller.engine.random
        table, share = random.choice(TABLES[agent.role]), random.randint(1, 3)
        agent.disturbed = True
        agent.refuses = lambda entry: type(entry) is table and sum(str(entry.key).encode()) % 3 < share
        self._begin(f"entries_refused {agent.name} {table.__name__}", lambda: setattr(agent, "refuses", None), 6.0)

    def empty_snapshot(self) -> None:
        """A controller that read nothing sends what it read, at the generation the node is at."""
        agent = self._node("hypervisor")
        node = self.controller.rows.nodes[agent.id]
        raw = wire.Snapshot(agent.id, EPOCH, node.generation, []).pack()
        self._once(f"empty_snapshot {agent.name}")
        try:
            agent.apply(raw)
        except (DomainError, Silence) as error:
            self.controller.engine.note(f"refused: {type(error).__name__}")
