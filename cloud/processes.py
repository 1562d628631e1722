"""The processes of a local cloud, with their settings."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from cloud import bird, namespaces
from cloud.baseline import VXLAN_LINK
from cloud.manifest import Manifest, Process
from cloud.pki import PLACEMENT, Pki
from cloud.plan import AGENT_PORT, FABRIC4, FABRIC6, METRICS_PORT, Node, Paths, Plan, Role
from cloud.postgres import Postgres
from cloud.redis import Redis
from cloud.state import State

Placed = Callable[[list[str]], tuple[str, ...]]
"""From a command to the one that runs it where it belongs."""

PACKAGES = Path(__file__).resolve().parent.parent
STORES, MACHINES, SERVICES = 1, 2, 3  # stages
INTERNAL_IPAM_PORT = 8101  # of ipam in the control namespace, for placement

DATABASE = "postgres"
BROKER = "redis"
GUEST_HELPER = "guest-helper"
BIRD = "bird"
AGENT = "netagent"
CONTROL = ("ipam", "placement", "placement-poller", "worker", "migration-worker", "beat")


METRICS = {name: f"127.0.0.1:{METRICS_PORT + number}" for number, name in enumerate(CONTROL) if name != "beat"}
"""Where control processes tell their metrics, in their namespace; beat does nothing but ring."""


def bird_name(node: Node) -> str:
    return f"{BIRD}-{node.name}"


def agent_name(node: Node) -> str:
    return f"{AGENT}-{node.name}"


def metrics(plan: Plan) -> dict[str, str]:
    """URLs of the processes' metrics, by process, as the cloud's control namespace reaches them."""
    agents = {agent_name(node): f"{node.management}:{METRICS_PORT}" for node in plan.nodes}
    return {name: f"http://{address}/metrics" for name, address in (METRICS | agents).items()}


def manifest(state: State) -> Manifest:
    """Everything the supervisor of this cloud runs."""
    plan, paths = state.plan, state.plan.paths
    processes = [*stores(state), guest_helper(paths, partial(inside, plan.control))]
    for node in plan.nodes:
        here = partial(inside, node.namespace)
        processes += [routing_daemon(node, paths, here), agent(plan, node, paths, Pki(paths.pki), here)]
    return Manifest(paths.run, paths.log, (*processes, *control(state)), dict(state.ports))


def python_environment(paths: Paths) -> dict[str, str]:
    """What every Python process of the cloud needs to find our packages, and to leave nothing in /tmp."""
    return _python({"TMPDIR": str(paths.run / "tmp")})


def _python(more: dict[str, str]) -> dict[str, str]:
    return {"PYTHONPATH": str(PACKAGES), "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "", **more}


def inside(namespace: str, argv: list[str], *, death: str = "KILL") -> tuple[str, ...]:
    """Run in a namespace; when the supervisor dies, the process gets the signal `death`."""
    return (
        "nsenter",
        f"--net={namespaces.path(namespace)}",
        "--",
        *(["setpriv", "--pdeathsig", death, "--"] if death else []),
        *argv,
    )


def _variable(service: str, name: str) -> str:
    return f"GODWIT_{service.upper()}_{name}"


def database_urls(state: State) -> dict[str, str]:
    """By service, each with its own role."""
    server = Postgres.of(state.plan.paths)
    return {service: server.url(service, password) for service, password in state.database_passwords.items()}


def stores(state: State) -> tuple[Process, ...]:
    plan, paths = state.plan, state.plan.paths
    broker = Redis.of(paths, state.broker_password)
    return (
        Process(
            DATABASE,
            inside(plan.control, Postgres.of(paths).command(), death=""),
            stage=STORES,
            stop_signal="SIGINT",  # fast shutdown: open transactions are rolled back
        ),
        Process(BROKER, inside(plan.control, broker.command(), death=""), stage=STORES),
    )


def guest_helper(paths: Paths, placed: Placed) -> Process:
    return Process(
        GUEST_HELPER,
        placed([sys.executable, "-m", "services.netagent.guest_helper"]),
        {
            **python_environment(paths),
            "GODWIT_GUESTS_SOCKET": str(paths.guest_socket),
            "GODWIT_GUESTS_DIRECTORY": str(paths.guests),
            "GODWIT_GUESTS_DISKS": str(paths.disks),
        },
        stage=MACHINES,
    )


def routing_daemon(node: Node, paths: Paths, placed: Placed) -> Process:
    """Killed, never asked to end: asked, it would withdraw its routes; killed, its neighbours keep them meanwhile.

    It goes before others: a keepalive of its BFD sessions is due every 50 ms, however busy the host is.
    """
    control = paths.bird / f"{node.name}.ctl"
    return Process(
        bird_name(node),
        placed(["nice", "-n", "-15", *bird.command(paths.bird / f"{node.name}.conf", control)]),
        stage=MACHINES,
        stop_signal="SIGKILL",
        marker=control,
        again=bird.RECOVER,
    )


def agent(plan: Plan, node: Node, paths: Paths, pki: Pki, placed: Placed) -> Process:
    identity = pki.node(node)
    settings = {
        "NODE": str(node.id),
        "NAME": node.name,
        "ROLE": str(node.role),
        "STATE_DIRECTORY": str(paths.data / "nodes" / node.name),
        "PIN_DIRECTORY": str(paths.bpf / node.name),
        "BUILD_DIRECTORY": str(paths.data / "build"),
        "GUEST_SOCKET": str(paths.guest_socket),
        "LISTEN": f"tcp:{node.management}:{AGENT_PORT}",
        "METRICS": f"tcp:{node.management}:{METRICS_PORT}",
        "CERTIFICATE": str(identity.certificate),
        "CERTIFICATE_KEY": str(identity.key),
        "CONTROLLER_CA": str(pki.controllers.certificate),
        "ISSUER_KEYS": str(pki.keys),
    }
    if node.role is Role.GATEWAY:
        public, private = node.links
        settings |= {"PUBLIC_LINK": public.name, "PRIVATE_LINK": private.name}
    if node.role is not Role.GATEWAY:
        zone = plan.zone(node.zone)
        settings |= {"PROBE_SOURCE": str(zone.probe_source), "PROBE_SOURCE_IPV6": str(zone.probe_source_ipv6)}
    if node.role is Role.HYPERVISOR:
        settings |= {
            "VXLAN_LINK": VXLAN_LINK,
            "HOST_PREFIXES": f"{FABRIC4},{plan.management},{FABRIC6}",
            "DISK_DIRECTORY": str(paths.disks),
            "ARCHIVE_ROOTS": f"file://{paths.archives}",
        }
    return Process(
        agent_name(node),
        placed([sys.executable, "-m", "services.netagent.app"]),
        {**python_environment(paths), **{_variable("netagent", key): value for key, value in settings.items()}},
        stage=MACHINES,
    )


def control(state: State) -> tuple[Process, ...]:
    plan, paths, pki = state.plan, state.plan.paths, Pki(state.plan.paths.pki)
    urls, broker_url = database_urls(state), Redis.of(paths, state.broker_password).url
    internal_ipam = f"127.0.0.1:{INTERNAL_IPAM_PORT}"
    ipam = {
        "DATABASE_URL": urls["ipam"],
        "BROKER_URL": broker_url,
        "ISSUER_KEYS": str(pki.keys),
        "LISTEN": f"{{fd:ipam}},tcp:{internal_ipam}",
    }
    placement = {
        "DATABASE_URL": urls["placement"],
        "BROKER_URL": broker_url,
        "IPAM_URL": f"http://{internal_ipam}",
        "ISSUER_KEYS": str(pki.keys),
        "SIGNING_KEY": str(pki.signing_key(PLACEMENT)),
        "CERTIFICATE": str(pki.placement.certificate),
        "CERTIFICATE_KEY": str(pki.placement.key),
        "NODE_CA": str(pki.nodes.certificate),
        "ARCHIVE_URL": f"file://{paths.archives}",
        "LISTEN": "{fd:placement}",
    }

    def service(name: str, module: str, *arguments: str, socket: str = "") -> Process:
        settings, prefix = (ipam, "ipam") if name == "ipam" else (placement, "placement")
        if name in METRICS:
            settings = {**settings, "METRICS": f"tcp:{METRICS[name]}"}
        return Process(
            name,
            inside(plan.control, [sys.executable, "-m", module, *arguments]),
            {**python_environment(paths), **{_variable(prefix, key): value for key, value in settings.items()}},
            sockets=(socket,) if socket else (),
            stage=SERVICES,
        )

    return (
        service("ipam", "services.ipam.app", socket="ipam"),
        service("placement", "services.placement.app", socket="placement"),
        service("placement-poller", "services.placement.poller"),
        service("worker", "services.placement.worker", "worker"),
        service("migration-worker", "services.placement.worker", "migration-worker"),
        service("beat", "services.placement.worker", "beat"),
    )
