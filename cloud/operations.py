"""What `godwit cloud` does: up, down, status, exec, cut, heal, power. Results are values; progress goes to a callback.

Raises DomainError subclasses, each one clear line.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import httpx
from alembic.util import CommandError
from sqlalchemy.exc import SQLAlchemyError

from cloud import bird, bootstrap, fabric, guests, leftovers, manifest, namespaces, processes, state, teardown
from cloud.control import ProcessStatus, Supervision, SupervisorSilent
from cloud.namespaces import CommandFailed, run
from cloud.pki import ISSUER, Pki
from cloud.plan import Node, Paths, Plan, Stack
from cloud.postgres import Postgres
from cloud.redis import Redis
from cloud.state import State
from common import migrate
from common.auth import LIFETIME_S, Principal, Signer
from common.errors import Conflict, Forbidden, Invalid, NotFound, Unavailable

DEFAULT_NAME = "godwit"
DEFAULT_PROJECT = "demo"
DEFAULT_HYPERVISORS = 3
DEFAULT_GATEWAYS = 2

Progress = Callable[[str], None]
Count = int | Sequence[int]
"""How many in each zone: one number for all, or one for each."""
Network = Literal["fabric", "management"]
NETWORKS: tuple[Network, ...] = ("fabric", "management")

_TOOLS = ("ip", "nft", "ethtool", "bird", "birdc", "nsenter", "setpriv", "redis-server", "clang")


class RootNeeded(Forbidden):
    """Making network namespaces needs root."""

    code = "cloud.root_needed"


class SizeDiffers(Conflict):
    """The cloud exists with another number of nodes or zones, or another stack."""

    code = "cloud.size_differs"


class NotReady(Unavailable):
    """A part of the cloud did not come up in time."""

    code = "cloud.not_ready"


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """`routing` and `agent`: whether the node's two processes run; `condition`: placement's view, None if unknown."""

    id: str
    name: str
    zone: str
    role: str
    namespace: str
    management: str
    endpoint: str
    routing: bool
    agent: bool
    condition: str | None


@dataclass(frozen=True, slots=True)
class CloudStatus:
    """`state`: `running` (all processes run), `degraded`, or `stopped` (no supervisor)."""

    name: str
    state: str
    zone: str  # the first of `zones`
    zones: list[str]
    apis: dict[str, str]
    metrics: dict[str, str]  # URLs by process, as its control namespace reaches them
    tokens: dict[str, str]  # by role: operator, member
    nodes: list[NodeStatus]
    processes: list[ProcessStatus]
    guests: list[str]
    logs: str


def silent(_message: str) -> None:
    """A progress callback that says nothing."""


def up(
    name: str = DEFAULT_NAME,
    hypervisors: Count | None = None,
    gateways: Count | None = None,
    progress: Progress = silent,
    *,
    zones: int | None = None,
    stack: Stack | None = None,
) -> CloudStatus:
    """Make the cloud, or put right whatever is missing or broken of it. What runs goes on undisturbed.

    What is left out is as it was, or the usual size. `stack` is what its zones start with.
    """
    Plan(name)  # an impossible name is refused
    require_root("up", name)
    require_tools()
    with teardown.exclusively(name):
        current = _state(name, zones, hypervisors, gateways, stack)
        plan, paths = current.plan, current.plan.paths
        supervision = Supervision(paths)
        edges = "edge" if len(plan.zones) == 1 else f"{len(plan.zones)} edges"
        gateway_count = sum(zone.gateway_count for zone in plan.zones)
        hypervisor_count = sum(zone.hypervisor_count for zone in plan.zones)
        progress(f"fabric: {edges}, {gateway_count} gateways, {hypervisor_count} hypervisors")
        _prepare(current)
        progress("database and broker")
        if supervision.runs:
            supervision.reload()
        else:
            teardown.end_strays(plan)
            supervision.launch()
        start_stores(current, supervision)
        progress("routing daemons and agents; schema migrations")
        everything = processes.manifest(current).processes
        supervision.start([process.name for process in everything if process.stage < processes.SERVICES])
        migrate_schemas(current)
        progress("services")
        supervision.start([process.name for process in everything])
        wait_for_services(current)
        progress("zones, nodes, pools and flavours" if plan.more_zones else "zone, nodes, pools and flavours")
        operator = token(current.name, roles=("operator",), project=DEFAULT_PROJECT)
        bootstrap.register(current.apis, plan, current.stack, operator)
        progress("nodes answer")
        bootstrap.wait_until_up(current.apis, operator, str(paths.log))
    return status(name)


def down(name: str = DEFAULT_NAME, keep_data: bool = False, progress: Progress = silent) -> bool:
    """Remove every namespace, link, BPF object and process of the cloud, and its data unless `keep_data`.

    Works on what a crash left as well. Returns whether there was anything.
    """
    Plan(name)
    require_root("down", name)
    with teardown.exclusively(name):
        return teardown.remove(name, keep_data=keep_data, progress=progress)


def status(name: str = DEFAULT_NAME) -> CloudStatus:
    """Raises NotFound when there is no such cloud."""
    require_root("status", name)
    current = state.load(name)
    plan = current.plan
    try:
        listed = Supervision(plan.paths).processes()
    except SupervisorSilent:
        listed = []
    running = {process.name for process in listed if process.state == "running"}
    whole = bool(listed) and len(running) == len(listed)
    conditions = bootstrap.conditions(current.apis, token(name, roles=("operator",))) if "placement" in running else {}
    return CloudStatus(
        name=name,
        state="running" if whole else ("degraded" if listed else "stopped"),
        zone=plan.zones[0].name,
        zones=[zone.name for zone in plan.zones],
        apis=current.apis,
        metrics=processes.metrics(plan),
        tokens={role: token(name, roles=(role,)) for role in ("operator", "member")},
        nodes=[_node_status(node, running, conditions.get(node.name)) for node in plan.nodes],
        processes=listed,
        guests=[guest.name for guest in guests.all_guests(plan.paths.guests)],
        logs=str(plan.paths.log),
    )


def names() -> list[str]:
    """Clouds that exist on this host."""
    return state.names()


def token(
    name: str,
    *,
    project: str = DEFAULT_PROJECT,
    roles: Sequence[str] = ("member",),
    audience: Sequence[str] = ("ipam", "placement"),
    subject: str = "cli",
    lifetime_s: int = LIFETIME_S,
) -> str:
    """A bearer token of the cloud's own issuer."""
    key = Pki(state.load(name).plan.paths.pki).signing_key(ISSUER)
    return Signer.from_file(key).sign(Principal(subject, project, frozenset(roles)), list(audience), lifetime_s)


def network_of(name: str, where: str) -> Path:
    """The file of the network namespace of `internet`, a node, `control`, or a guest by its instance name.

    Raises NotFound, also when the namespace is gone.
    """
    require_root("exec", name)
    plan = state.load(name).plan
    guest = guests.find(plan.paths.guests, where)
    known = ["internet", "control", *(node.name for node in plan.nodes)]
    if where in known:
        network = namespaces.path(plan.namespace(where))
    elif guest is not None:
        network = guest.network
    else:
        there = [guest.name for guest in guests.all_guests(plan.paths.guests)]
        raise NotFound(f"cloud {name} has no node or guest {where}; there are {', '.join(known + there)}")
    if not os.path.ismount(network):
        raise NotFound(f"{where} of cloud {name} is not there; heal the cloud with: godwit cloud up {name}")
    return network


def exec_argv(name: str, where: str, argv: Sequence[str]) -> list[str]:
    """The command that runs `argv` in a place. Raises NotFound as `network_of` does."""
    return ["nsenter", f"--net={network_of(name, where)}", "--", *argv]


def execute(name: str, where: str, argv: Sequence[str]) -> int:
    """Run a command there with the caller's terminal. Returns its exit code."""
    try:
        return subprocess.run(exec_argv(name, where, argv), check=False).returncode
    except FileNotFoundError as error:
        raise CommandFailed(f"{error.filename} is not installed") from error


def cut(name: str, node: str, networks: Sequence[Network] = NETWORKS) -> None:
    """Partition a node from the fabric, the management network, or both; its processes go on. Repeating is no error."""
    require_root("cut", name)
    plan = state.load(name).plan
    which = plan.node(node)
    if "fabric" in networks:
        fabric.cut_fabric(plan, which)
    if "management" in networks:
        fabric.cut_management(plan, which)


def heal(name: str, node: str, networks: Sequence[Network] = NETWORKS) -> None:
    """Undo a cut; what is not cut stays as it is."""
    require_root("heal", name)
    plan = state.load(name).plan
    which = plan.node(node)
    if "fabric" in networks:
        fabric.heal_fabric(plan, which)
    if "management" in networks:
        fabric.heal_management(plan, which)


def kill(name: str, process: str, signal_name: str = "SIGKILL") -> int | None:
    """Send a signal to a supervised process by its name. Returns its number, None if it did not run."""
    return Supervision(state.load(name).plan.paths).kill(process, signal_name)


def database_urls(name: str) -> dict[str, str]:
    """By service. Raises NotFound."""
    require_root("backup", name)
    return processes.database_urls(state.load(name))


@contextmanager
def services_stopped(name: str) -> Iterator[None]:
    """No control process runs meanwhile; they are started again whatever happens. Packets flow on."""
    require_root("restore", name)
    current = state.load(name)
    supervision = Supervision(current.plan.paths)
    with teardown.exclusively(name):
        supervision.stop(processes.CONTROL)
        try:
            yield
        finally:
            supervision.start(processes.CONTROL)
            wait_for_services(current)


def power(name: str, node: str, on: bool) -> None:
    """Switch a node off (its links cut, its processes killed, kept down) or on again."""
    require_root("power", name)
    current = state.load(name)
    which = current.plan.node(node)
    mine = [processes.agent_name(which), processes.bird_name(which)]
    supervision = Supervision(current.plan.paths)
    if on:
        heal(name, node)
        supervision.start(mine)
    else:
        cut(name, node)
        supervision.stop(mine)
        _end_guests(current.plan.paths.guests, which)


def _end_guests(directory: Path, node: Node) -> None:
    """End what runs on a node that lost its power: the guests that have a leg there, and the legs."""
    links = {line.split("@")[0] for line in run(["ip", "-n", node.namespace, "-br", "link"]).splitlines()}
    for guest in guests.all_guests(directory):
        if guest.link in links:
            leftovers.end(namespaces.pids_in(guest.network), signal.SIGKILL)
            run(["ip", "-n", node.namespace, "link", "del", guest.link])


# --- parts of `up` ---------------------------------------------------------------------------------------------------


def require_root(verb: str, name: str) -> None:
    if os.geteuid() != 0:
        raise RootNeeded(f"a local cloud needs root (network namespaces, BPF); run: sudo godwit cloud {verb} {name}")


def require_tools() -> None:
    missing = [tool for tool in _TOOLS if shutil.which(tool) is None]
    if missing:
        raise CommandFailed(f"not installed: {', '.join(missing)}; install them with: sh deploy/host/install.sh")


def _state(
    name: str, zones: int | None, hypervisors: Count | None, gateways: Count | None, stack: Stack | None
) -> State:
    """What is remembered of the cloud, or a new one's."""
    known = state.find(name)
    if known is None:
        usual = (DEFAULT_HYPERVISORS, DEFAULT_GATEWAYS)
        first, *others = _sizes([usual] * (1 if zones is None else zones), hypervisors, gateways)
        known = state.create(Plan(name, *first, tuple(others)), stack or Stack.DUAL)
        state.save(known)
    there = [(zone.hypervisor_count, zone.gateway_count) for zone in known.plan.zones]
    asked = _sizes(there if zones is None else (there * zones)[:zones], hypervisors, gateways)
    if asked != there:
        raise SizeDiffers(f"cloud {name} has {_size(known.plan)}; to change that, first run: godwit cloud down {name}")
    if stack not in (None, known.stack):
        raise SizeDiffers(
            f"zones of cloud {name} started as {known.stack}; to change that, first run: godwit cloud down {name}"
        )
    return known


def _sizes(
    usual: Sequence[tuple[int, int]], hypervisors: Count | None, gateways: Count | None
) -> list[tuple[int, int]]:
    """Hypervisors and gateways of each zone: what is asked for, or the usual ones."""
    if not usual:
        raise Invalid("0 zones: a local cloud has at least one")
    each = []
    for column, what, count in ((0, "hypervisors", hypervisors), (1, "gateways", gateways)):
        numbers = [size[column] for size in usual] if count is None else count
        numbers = [numbers] * len(usual) if isinstance(numbers, int) else list(numbers)
        if len(numbers) != len(usual):
            raise Invalid(f"{len(numbers)} numbers of {what} for {len(usual)} zones: give one for all, or one for each")
        each.append(numbers)
    return list(zip(*each, strict=True))


def _size(plan: Plan) -> str:
    """For a person to read."""
    sizes = [f"{zone.hypervisor_count} hypervisors and {zone.gateway_count} gateways" for zone in plan.zones]
    return sizes[0] if len(sizes) == 1 else f"{len(sizes)} zones ({'; '.join(sizes)})"


def _prepare(current: State) -> None:
    """Everything that lies on disk or in the kernel before a process runs."""
    plan, paths = current.plan, current.plan.paths
    for directory in (paths.run, paths.data, paths.log):
        directory.mkdir(parents=True, exist_ok=True)
    for directory in (paths.bird, paths.guests, paths.run / "tmp", paths.data / "build"):
        directory.mkdir(exist_ok=True)
    fabric.build(plan)
    _mount_bpf(paths, plan.nodes)
    Pki(paths.pki).ensure(plan)
    Postgres.of(paths).initialise()
    Redis.of(paths, current.broker_password).initialise()
    for node in plan.nodes:
        (paths.bird / f"{node.name}.conf").write_text(bird.configuration(plan, node))
        (paths.data / "nodes" / node.name).mkdir(parents=True, exist_ok=True)
    manifest.save(processes.manifest(current))


def _mount_bpf(paths: Paths, nodes: Sequence[Node]) -> None:
    """Our own BPF file system: the usual one is hidden by `ip netns exec`, and may not be mounted at all."""
    paths.bpf.mkdir(exist_ok=True)
    if not os.path.ismount(paths.bpf):
        run(["mount", "-t", "bpf", "-o", "mode=0700", f"godwit-{paths.run.name}", str(paths.bpf)])
    for node in nodes:
        (paths.bpf / node.name).mkdir(exist_ok=True)


def start_stores(current: State, supervision: Supervision) -> None:
    paths = current.plan.paths
    database, broker = Postgres.of(paths), Redis.of(paths, current.broker_password)
    supervision.start([processes.DATABASE, processes.BROKER])
    _wait(database.answers, 30, "the database", paths, processes.DATABASE)
    database.provision(current.database_passwords)
    _wait(broker.answers, 30, "the broker", paths, processes.BROKER)


def migrate_schemas(current: State) -> None:
    for service, url in processes.database_urls(current).items():
        try:
            migrate.upgrade(service, url)
        except (SQLAlchemyError, CommandError) as error:
            raise NotReady(f"migrating {service} failed: {str(error).splitlines()[0]}") from error


def wait_for_services(current: State) -> None:
    for service, url in current.apis.items():
        _wait(lambda url=url: _answers(url), 60, service, current.plan.paths, service)  # type: ignore[misc]


def _answers(url: str) -> bool:
    """Whether anything comes back: who refuses a request is up."""
    try:
        httpx.get(url, timeout=2)
    except httpx.TransportError:
        return False
    return True


def _wait(condition: Callable[[], bool], within_s: float, what: str, paths: Paths, process: str) -> None:
    ends = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > ends:
            raise NotReady(f"{what} did not come up within {within_s:.0f} s; see {paths.log / process}.log")
        time.sleep(0.02)


def _node_status(node: Node, running: set[str], condition: str | None) -> NodeStatus:
    return NodeStatus(
        id=str(node.id),
        name=node.name,
        zone=node.zone,
        role=str(node.role),
        namespace=node.namespace,
        management=str(node.management),
        endpoint=str(node.endpoint),
        routing=processes.bird_name(node) in running,
        agent=processes.agent_name(node) in running,
        condition=condition,
    )
