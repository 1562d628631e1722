"""`python -m services.netagent.app`: one node's agent.

At start it takes up its checkpoint and makes the kernel match before it listens; rows that are right are not touched,
so a restart changes no traffic.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
from fastapi import FastAPI

from common import logs
from common.auth import Verifier
from common.metrics import listen
from common.serve import MutualTls, serve
from common.web import create_app
from dataplane.driver import Driver, DriverError
from dataplane.entries import Leg, LegState
from dataplane.fence import Blackholes, Fences
from dataplane.guard import Guard, GuardAddresses, GuardPorts
from dataplane.guests import GuestAddresses
from dataplane.handover import Handover
from dataplane.hostnat import HostNats, LinkTraffics, Traffic
from dataplane.links import Legs
from dataplane.linux import Linux
from dataplane.nat import Nat, NatInbound, NatOutbound
from dataplane.nft import Nftables
from dataplane.routes import Anchors, Discards, Fallbacks, Forwards, Peers, RouteTable
from services.netagent import metrics
from services.netagent.api import Health, Tokens, router
from services.netagent.archive import Archives
from services.netagent.checkpoint import SqliteCheckpoint
from services.netagent.checks import Checks
from services.netagent.guests import HelperGuests
from services.netagent.observe import EdgeRoutes, Feed, observed
from services.netagent.probes import Prober
from services.netagent.reconciler import Reconciler
from services.netagent.render import link_of
from services.netagent.settings import AgentSettings, Role
from services.netagent.wire import Observed

log = structlog.get_logger()

AGAIN_S = 1.5  # what was mended is compared again so soon


class SettingMissing(Exception):
    """A role needs a setting that is not there."""


@dataclass(frozen=True)
class Tables:
    """A node's tables, in the order in which rows are put; what puts back the programs that read them; what passes."""

    drivers: list[Driver[Any]]
    attach: Callable[[], None] = lambda: None  # repeated, it changes nothing; raises OSError
    traffic: Traffic | None = None  # hypervisors
    checks: Checks | None = None  # edges
    seen: Callable[[], Observed] = lambda: observed({})


def tables_of(settings: AgentSettings, kernel: Linux, feed: Feed) -> Tables:
    """The tables of this node's role. Attaches the BPF programs.

    Raises SettingMissing, BpfError, BuildError.
    """
    routes = RouteTable(kernel)
    match settings.role:
        case Role.HYPERVISOR:
            pins, cache = _bpf(settings)
            probes = [source for source in settings.probe_sources if source is not None]
            guard = Guard(pins, cache, settings.host_prefixes, probes)
            guests = HelperGuests(_needed(settings.guest_socket, "guest_socket"))
            legs = Legs(kernel, guests, guard.attach, Handover(kernel))
            for leg in legs.observe().values():
                guard.attach(leg.link)  # the present build, in one swap
                _resume(legs, leg)
            return Tables(
                [
                    legs,
                    GuardPorts(guard),
                    GuardAddresses(guard),
                    HostNats(guard),
                    Peers(kernel, settings.vxlan_link),
                    Forwards(routes),
                    Fallbacks(routes, settings.vxlan_link),
                    GuestAddresses(legs, guests, link_of),
                    Anchors(routes),
                ],
                traffic=LinkTraffics(guard),
                seen=lambda: observed(guard.counters(), guard.room()),
            )
        case Role.GATEWAY:
            nat = Nat(*_bpf(settings))
            nat.attach(settings.public_link, settings.private_link)
            return Tables(
                [NatOutbound(nat), NatInbound(nat), Anchors(routes)],
                lambda: nat.attach(settings.public_link, settings.private_link),
                seen=lambda: observed(nat.counters()),
            )
        case Role.EDGE:
            checks = Checks(feed.changed, *settings.probe_sources)
            return Tables([Discards(routes), Fences(kernel), Blackholes(kernel, Nftables()), checks], checks=checks)


def _resume(legs: Legs, leg: Leg) -> None:
    """Watch a leaving leg again, as before the restart."""
    if leg.state is LegState.LEAVING:
        try:
            legs.put(leg)
        except DriverError as error:
            log.warning("leg.not_resumed", link=leg.link, code=error.code, error=str(error))


def _bpf(settings: AgentSettings) -> tuple[Path, Path]:
    pins = _needed(settings.pin_directory, "pin_directory")
    return pins, _needed(settings.build_directory, "build_directory")


def _needed(value: Path | None, name: str) -> Path:
    if value is None:
        raise SettingMissing(f"a node of this role needs GODWIT_NETAGENT_{name.upper()}")
    return value


class Watch:
    """Compares the whole with the kernel every so often, and mends what differs.

    What differed is told by `Reconciler.realized` until the next comparison.
    """

    def __init__(self, reconciler: Reconciler, attach: Callable[[], None], every_s: float) -> None:
        self._reconciler = reconciler
        self._attach = attach
        self._every_s = every_s
        self._stopped = threading.Event()

    def start(self) -> None:
        threading.Thread(target=self._run, name="watch", daemon=True).start()

    def stop(self) -> None:
        self._stopped.set()

    def _run(self) -> None:
        wait_s = self._every_s
        while not self._stopped.wait(wait_s):
            wait_s = self._every_s
            self._hold()
            if self._reconciler.verify():
                seen = self._reconciler.realized()
                log.warning("node.drifted", failed=[f.model_dump() for f in seen.failed[:10]], digest=seen.digest)
                self._reconciler.repair(tell=False)
                wait_s = min(wait_s, AGAIN_S)

    def _hold(self) -> None:
        """A link that was made anew has lost its program."""
        try:
            self._attach()
        except OSError as error:  # the link is not there: the next round finds it
            log.warning("node.not_attached", error=str(error))


def build(settings: AgentSettings, kernel: Linux) -> tuple[FastAPI, Watch]:
    """The agent, its kernel already made to match its checkpoint."""
    checkpoint = SqliteCheckpoint(settings.state_directory / "checkpoint.sqlite")
    feed = Feed()
    tables = tables_of(settings, kernel, feed)
    reconciler = Reconciler(settings.node, tables.drivers, checkpoint)
    reconciler.repair()
    watch = Watch(reconciler, tables.attach, settings.verify_seconds)
    edge, prober = None, Prober()
    if settings.role is Role.EDGE:
        edge, prober = EdgeRoutes(kernel, feed), Prober(*settings.probe_sources)
        edge.start()
    tokens = Tokens(Verifier.from_directory(settings.issuer_keys, f"node/{settings.node}"))
    health = Health(name=settings.name, node=str(settings.node), role=settings.role)
    archives = None
    if settings.disk_directory is not None:
        archives = Archives(settings.disk_directory, settings.archive_roots, settings.name)
    api = router(
        reconciler,
        feed,
        edge,
        tables.traffic,
        tables.seen,
        prober,
        tables.checks,
        archives,
        tokens,
        health,
    )
    app = create_app("Godwit netagent", [api])
    app.state.readings = metrics.readings(reconciler.realized, tables.seen)
    held = reconciler.realized()
    log.info("agent.ready", role=settings.role, generation=held.generation, failed=len(held.failed))
    return app, watch


def main() -> None:
    settings = AgentSettings()
    logs.configure(f"netagent/{settings.name}")
    app, watch = build(settings, Linux())
    listen(settings.metrics, app.state.readings)
    watch.start()
    tls = MutualTls(settings.certificate, settings.certificate_key, settings.controller_ca)
    serve(app, settings.listen, tls)
    watch.stop()


if __name__ == "__main__":
    main()
