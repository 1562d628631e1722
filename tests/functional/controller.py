"""The real controller and the real ledger, in-process, with real agents' reconcilers on in-memory kernels.

Wake-ups go into a list and are run when a story says so, so that a story can also lose them.
"""

from __future__ import annotations

import asyncio
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any, TypeVar, cast
from uuid import UUID, uuid5

import httpx
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import delete, func, text, update

from common.db import Database
from common.errors import Unavailable
from common.http import Unreachable
from dataplane import memory
from dataplane.entries import Anchor, Check, Fence, Inbound
from dataplane.guard import REASONS
from dataplane.nat import VERDICTS
from services.netagent import wire as agent_wire
from services.netagent.archive import Archives
from services.netagent.checkpoint import MemoryCheckpoint
from services.netagent.disks import Disk
from services.netagent.reconciler import Reconciler as Executor
from services.netagent.render import guest_name, link_of
from services.netagent.transfers import Pulse, Transfers
from services.placement import app, tasks
from services.placement.agents import Agents
from services.placement.conversion.prechecks import HOSTNAT_TRAIT
from services.placement.model import Base, Claim, Heartbeat, PortConversion
from services.placement.reconcile import Reconciler
from services.placement.scheduler import LOCAL_DISK_TRAIT
from services.placement.settings import PlacementSettings
from services.placement.store import nodes
from tests.functional.documented import hold_to_document
from tests.functional.ledger import Ledger, ok

NAMESPACE = UUID("5f0a7d1e-0d5b-4c8e-9a61-2b1f6d1f7a10")
AUDIENCE = ["placement"]
T = TypeVar("T")
PACKETS = {"hypervisor": REASONS, "gateway": VERDICTS, "edge": ()}  # what a node counts


class Agent:
    """One node: the real reconciler on an in-memory kernel, reached as `AgentClient` is. `cut` makes it unreachable."""

    def __init__(self, fleet: Fleet, node_id: UUID, name: str, role: str, disks: Path) -> None:
        self.fleet = fleet
        self.disks = disks
        self._archives = Archives(disks, (fleet.archive_url,), name)
        self.transfers = Transfers(patience_s=0.2)
        self.id = node_id
        self.name = name
        self.kernel = memory.Kernel(name, fleet.world)
        self.checkpoint = MemoryCheckpoint()
        self.role = role
        self.cut = False
        room = 1000 if role == "hypervisor" else None
        self.seen = agent_wire.Observed(reverse_path={}, packets=dict.fromkeys(PACKETS[role], 0), room=room)
        self.start()

    def start(self) -> None:
        """Start the agent, as after a crash: it knows what its checkpoint says."""
        drivers = getattr(memory.drivers(self.kernel, link_of), self.role)
        self.executor = Executor(self.id, drivers, self.checkpoint)

    def apply(self, message: agent_wire.Snapshot | agent_wire.Delta) -> agent_wire.Realized:
        if self.cut:
            raise Unreachable(f"{self.name} does not answer")
        realized = self.executor.apply(agent_wire.parse(message.pack()))
        self.fleet.run_guests()
        return realized

    def held(self) -> agent_wire.Snapshot:
        if self.cut:
            raise Unreachable(f"{self.name} does not answer")
        held = agent_wire.parse(self.executor.held().pack())
        assert isinstance(held, agent_wire.Snapshot)
        return held

    def rows(self, ports: Iterable[UUID], prefixes: Iterable[agent_wire.Prefix]) -> agent_wire.Rows:
        if self.cut:
            raise Unreachable(f"{self.name} does not answer")
        return self.executor.rows(list(ports), list(prefixes))

    def edge_routes(self, prefixes: Iterable[str]) -> list[agent_wire.EdgeRoute]:
        if self.cut:
            raise Unreachable(f"{self.name} does not answer")
        return [agent_wire.EdgeRoute(prefix=prefix, next_hops=self.fleet.fabric_sends(prefix)) for prefix in prefixes]

    def health_checks(self) -> list[agent_wire.CheckState]:
        """Those are down that the fleet says, at once."""
        if self.cut:
            raise Unreachable(f"{self.name} does not answer")
        return [
            agent_wire.CheckState(
                address=row.address,
                holder=row.holder,
                condition=agent_wire.Condition.DOWN if str(row.address) in self.fleet.down else agent_wire.Condition.UP,
                missed=row.threshold if str(row.address) in self.fleet.down else 0,
                since_ms=0,
            )
            for row in self.kernel.table(Check).values()
        ]

    def probe(
        self,
        targets: Iterable[agent_wire.ProbeTarget],
        count: int,
        interval_s: float,  # noqa: ARG002  as `AgentClient.probe`
        timeout_s: float,  # noqa: ARG002
    ) -> list[agent_wire.ProbeResult]:
        """Those answer that the fleet says, at once."""
        if self.cut:
            raise Unreachable(f"{self.name} does not answer")
        return [
            agent_wire.ProbeResult(
                address=target.address,
                size=target.size,
                sent=count,
                received=count if answers else 0,
                rtt_us=(100, 100) if answers else None,
            )
            for target in targets
            for answers in [str(target.address) in self.fleet.answering]
        ]

    def observed(self) -> agent_wire.Observed:
        if self.cut:
            raise Unreachable(f"{self.name} does not answer")
        return self.seen

    def port_traffic(self, ports: Iterable[UUID]) -> list[agent_wire.PortTraffic]:  # noqa: ARG002
        """Guests of a memory kernel talk with nobody."""
        if self.cut:
            raise Unreachable(f"{self.name} does not answer")
        return []

    def disk(self, port: UUID) -> agent_wire.DiskState:
        if self.cut:
            raise Unreachable(f"{self.name} does not answer")
        return self._archives.look(guest_name(port))

    def archive_disk(self, port: UUID, url: str) -> agent_wire.DiskArchive:
        return self._transfer(port, url, lambda pulse: self._archives.archive(guest_name(port), url, pulse))

    def restore_disk(self, port: UUID, archive: agent_wire.DiskArchive) -> None:
        self._transfer(port, archive, lambda pulse: self._archives.restore(guest_name(port), archive, pulse))

    def _transfer(self, port: UUID, what: object, work: Callable[[Pulse], T]) -> T:
        if self.cut:
            raise Unreachable(f"{self.name} does not answer")

        def patient(pulse: Pulse) -> T:
            self.fleet.store_works.wait(10)
            return work(pulse)

        return asyncio.run(self.transfers.run(guest_name(port), what, patient))

    def discard_disk(self, port: UUID, url: str | None) -> None:
        if self.cut:
            raise Unreachable(f"{self.name} does not answer")
        self._archives.discard(guest_name(port), url)

    def delete_archive(self, url: str) -> None:
        if self.cut:
            raise Unreachable(f"{self.name} does not answer")
        self._archives.delete(url)

    def announces(self) -> dict[str, int]:
        """The addresses this node announces, with their sequences."""
        return {str(row.prefix): row.sequence for row in self.kernel.table(Anchor).values()}

    def maps(self) -> dict[str, str]:
        """A gateway's table, public to private."""
        return {str(row.public): str(row.private) for row in self.kernel.table(Inbound).values()}


class Fleet:
    """All agents of a cloud; and the fabric, which prefers the highest sequence."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.archives = directory / "archives"
        self.archive_url = f"file://{self.archives}"
        self.store_works = threading.Event()  # or takes its time
        self.store_works.set()
        self.world = memory.World()
        self._guests: set[tuple[str, Path, str]] = set()  # that run: on which node, and on which storage
        self._lock = threading.Lock()
        self.agents: dict[UUID, Agent] = {}
        self.endpoints: dict[UUID, str] = {}
        self.answering: set[str] = set()  # addresses that answer probes
        self.down: set[str] = set()  # addresses that health checks find down

    def run_guests(self) -> None:
        """A guest runs while it has a leg, as the guest helper sees to it; one whose host died leaves its disk open."""
        with self._lock:
            disks = {agent.name: agent.disks for agent in self.agents.values() if not agent.cut}
            legs = self.world.legs.items()
            runs = {(node, disks[node], guest) for guest, seen in legs for node, _ in seen if node in disks}
            for _, directory, guest in runs - self._guests:
                Disk(directory, guest).begin()
            open_disks = {(directory, guest) for _, directory, guest in runs}
            for node, directory, guest in self._guests - runs:
                if node in disks and (directory, guest) not in open_disks:
                    Disk(directory, guest).end()
            self._guests = runs

    def of(self, node_id: UUID, url: str) -> Agent:  # noqa: ARG002  as `Agents.of`
        return self.agents[node_id]

    def __getitem__(self, name: str) -> Agent:
        return next(agent for agent in self.agents.values() if agent.name == name)

    def fabric_sends(self, prefix: str) -> list[str]:
        """By the longest match, and of that the highest sequence; to nobody whose link an edge holds down."""
        to = ip_network(prefix)
        apart = {str(row.neighbour) for agent in self.agents.values() for row in agent.kernel.table(Fence).values()}
        found = [
            (anchor.prefix.prefixlen, anchor.sequence, self.endpoints[agent.id])
            for agent in self.agents.values()
            for anchor in agent.kernel.table(Anchor).values()
            if self.endpoints[agent.id] not in apart
            and anchor.prefix.version == to.version
            and anchor.prefix.supernet_of(to)  # type: ignore[arg-type]
        ]
        best = max((one[:2] for one in found), default=None)
        return sorted(endpoint for *rank, endpoint in found if tuple(rank) == best)


@dataclass
class Controller:
    """A running controller with its ledger and fleet."""

    app: FastAPI
    http: TestClient
    ledger: Ledger
    fleet: Fleet
    database: Database
    reconciler: Reconciler
    rung: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    zone: str = "zone-a"
    now: float = 0.0
    queued: int = 0  # wake-ups that wait in each queue

    # --- callers -----------------------------------------------------------------------------------------------------

    def token(self, who: str) -> str:
        subject, project, roles = {
            "red": ("rita", "red", ("member",)),
            "blue": ("bob", "blue", ("member",)),
            "operator": ("olga", "cloud", ("operator",)),
        }[who]
        return self.ledger.issuer.token(subject, project, *roles, audience=AUDIENCE)

    def request(self, who: str, method: str, path: str, **kwargs: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.token(who)}", **kwargs.pop("headers", {})}
        answer: httpx.Response = self.http.request(method, f"/placement/v1{path}", headers=headers, **kwargs)
        return answer

    def get(self, path: str, who: str = "operator", **params: Any) -> Any:
        return ok(self.request(who, "GET", path, params=params))

    def post(self, path: str, body: Any = None, who: str = "red", **kwargs: Any) -> httpx.Response:
        return self.request(who, "POST", path, json={} if body is None else body, **kwargs)

    # --- stories -----------------------------------------------------------------------------------------------------

    def hear(self) -> None:
        """Every agent that answers is heard, for as long as the story takes."""
        answering = [agent.id for agent in self.fleet.agents.values() if not agent.cut]
        silent = [agent.id for agent in self.fleet.agents.values() if agent.cut]
        with self.database.transaction() as tx:
            nodes.seen(tx, answering)
            tx.session.execute(update(Heartbeat).values(seen_at=Heartbeat.seen_at + timedelta(hours=1)))
            tx.session.execute(delete(Heartbeat).where(Heartbeat.node_id.in_(silent)))

    def settle(self) -> None:
        """Run every wake-up, those of the ledger included, until none is left."""
        self.hear()
        for _ in range(200):
            pending = [*self.rung, *self.ledger.rung()]
            self.rung.clear()
            if not pending:
                return
            for name, names in pending:
                self.run(name, names)
        raise AssertionError(f"the wake-ups never end: {pending}")

    def run(self, name: str, names: tuple[str, ...]) -> None:
        try:
            tasks.use_cases(self.reconciler)[name](*names)
        except Unavailable:  # as the task does
            return

    def another(self, database: Database | None = None, sleep: Callable[[float], None] | None = None) -> Reconciler:
        """Another worker's, with a way of its own to the database, or through time."""
        return Reconciler(
            database or self.database,
            cast("Agents", self.fleet),
            self.ledger.client(),
            self.fleet.archive_url,
            lambda _: 0,
            sleep or self.pass_time,
        )

    def pass_time(self, seconds: float) -> None:
        """What happened before is longer ago."""
        self.now += seconds
        ago = func.make_interval(0, 0, 0, 0, 0, 0, seconds)
        with self.database.transaction() as tx:
            earlier = {Claim.settled_at: Claim.settled_at - ago, Claim.entered_at: Claim.entered_at - ago}
            tx.session.execute(update(Claim).values(earlier))
            tx.session.execute(update(PortConversion).values(adopted_at=PortConversion.adopted_at - ago))

    def lose_bells(self) -> None:
        self.rung.clear()
        self.ledger.rung()

    def sweep(self) -> None:
        self.hear()
        self.now += 5.0  # which is when it is rung
        self.reconciler.sweep()
        self.settle()

    def instance(self, name: str, who: str = "red", **body: Any) -> Any:
        """Create an instance and wait until it runs."""
        wanted = {"name": name, "zone": self.zone, "flavor": "small", **body}
        operation = ok(self.post("/instances", wanted, who))
        self.settle()
        assert self.operation(operation)["state"] == "succeeded", self.operation(operation)
        return self.get(f"/instances/{operation['resource'].rsplit('/', 1)[1]}")

    def show(self, instance: Any) -> Any:
        return self.get(f"/instances/{instance['id']}")

    def act(self, instance: Any, verb: str, body: Any = None, who: str = "operator") -> Any:
        """Ask for a change of an instance and run it as far as it goes; the Operation."""
        operation = ok(self.post(f"/instances/{instance['id']}:{verb}", body, who))
        self.settle()
        return self.operation(operation)

    def operation(self, operation: Any) -> Any:
        return self.get(f"/operations/{operation['id']}")

    def holders(self, prefix: str) -> dict[str, int]:
        """Who announces a prefix, with which sequence."""
        return {
            agent.name: agent.announces()[prefix] for agent in self.fleet.agents.values() if prefix in agent.announces()
        }

    def contents(self) -> dict[str, list[Any]]:
        """Every row there is, but when nodes were heard: what must be the same after a refusal."""
        with self.database.transaction() as tx:
            tx.session.execute(delete(Heartbeat))
            rows = {
                table: [tuple(row) for row in tx.session.execute(text(f"SELECT t::text FROM {table} t ORDER BY 1"))]  # noqa: S608
                for table in sorted(Base.metadata.tables)
            }
        self.hear()
        return rows

    def shrink_pool(self) -> None:
        """Take eight prefixes from a pool at once: more than a gateway may lose without anybody's asking."""
        pool = next(p for p in self.ledger.operator.get("/pools")["items"] if p["family"] == "ipv4")
        path = f"/pools/{pool['id']}/prefixes"
        added = [ok(self.ledger.operator.post(path, {"cidr": f"198.18.{n}.0/24"})) for n in range(32, 40)]
        self.sweep()
        for prefix in added:
            ok(self.ledger.operator.delete(f"{path}/{prefix['id']}"))
        self.sweep()

    # --- what stories start from -------------------------------------------------------------------------------------

    def node(
        self, name: str, role: str, number: int, zone: str | None = None, *, local_disk: bool = False, **more: Any
    ) -> None:
        node_id = uuid5(NAMESPACE, name)
        endpoint = f"172.31.{number}.2"
        body: dict[str, Any] = {
            "name": name,
            "zone": zone or self.zone,
            "role": role,
            "agent_url": f"https://172.30.0.{number}:8443",
            "endpoint": endpoint,
            **more,
        }
        if role == "hypervisor":
            body |= {
                "private_prefix": f"10.{number}.0.0/24",
                "legacy_prefix": f"2001:db8:{number}::/48",
                "inventories": [
                    {"resource_class": "VCPU", "total": 4},
                    {"resource_class": "MEMORY_MB", "total": 4096},
                ],
                "traits": [HOSTNAT_TRAIT, *[LOCAL_DISK_TRAIT] * local_disk],
            }
        disks = self.fleet.directory / ("disks-of-" + name if local_disk else "disks")
        self.fleet.endpoints[node_id] = endpoint
        self.fleet.agents[node_id] = Agent(self.fleet, node_id, name, role, disks)
        ok(self.request("operator", "PUT", f"/nodes/{node_id}", json=body))

    def supplied(self) -> None:
        """A dual zone with two gateways, three hypervisors and an edge, pools, and a flavour."""
        ok(self.request("operator", "PUT", f"/zones/{self.zone}", json={"region": "region-1", "stack": "dual"}))
        self.ledger.pool("public", "198.18.16.0/24", zone=self.zone, quarantine_seconds=0)
        self.ledger.pool("public-v6", "2001:db8:100::/48", zone=self.zone, quarantine_seconds=0)
        self.node("edge", "edge", 1)
        for number in (1, 2):
            self.node(f"gateway-{number}", "gateway", 10 + number)
        for number in (1, 2, 3):
            self.node(f"hypervisor-{number}", "hypervisor", 20 + number)
        body = {"name": "small", "vcpus": 1, "memory_mb": 512, "disk_gb": 0}
        ok(self.request("operator", "POST", "/flavors", json=body))
        self.sweep()


@contextmanager
def running(database_url: str, ledger: Ledger, zone: str = "zone-a") -> Iterator[Controller]:
    """A controller on an empty, migrated database."""
    rung: list[tuple[str, tuple[str, ...]]] = []

    def ring(name: str, names: tuple[str, ...]) -> None:
        if (name, names) not in rung:
            rung.append((name, names))

    directory = tempfile.TemporaryDirectory(prefix="godwit-disks-")
    fleet = Fleet(Path(directory.name))
    nowhere = ledger.issuer.private_key  # agents are reached in-process: no certificate is read
    settings = PlacementSettings(
        database_url=database_url,
        broker_url="memory://",
        ipam_url="http://ipam",
        issuer_keys=ledger.issuer.public_keys,
        signing_key=ledger.issuer.private_key,
        certificate=nowhere,
        certificate_key=nowhere,
        node_ca=nowhere,
    )
    database = Database(database_url, ring)
    client = ledger.client()
    agents = cast("Agents", fleet)

    def sleep(seconds: float) -> None:
        controller.pass_time(seconds)

    reconciler = Reconciler(
        database, agents, client, fleet.archive_url, lambda _: controller.queued, sleep, lambda: controller.now
    )
    service = app.create(settings, ring=ring, ledger=client, agents=agents)
    with directory, TestClient(service, raise_server_exceptions=False) as http:
        hold_to_document(http, service)
        controller = Controller(service, http, ledger, fleet, database, reconciler, rung, zone)
        controller.supplied()
        yield controller
    database.close()
