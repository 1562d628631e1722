"""`python -m services.netagent.app`: one node's agent.

At start it takes up its checkpoint and makes the kernel match before it listens; rows that are right are not touched,
so a restart changes no traffic.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import structlog
from fastapi import FastAPI

from common import logs
from common.auth import Verifier
from common.serve import MutualTls, serve
from common.web import create_app
from dataplane.driver import Driver, DriverError
from dataplane.entries import Leg, LegState
from dataplane.guard import Guard, GuardAddresses, GuardPorts
from dataplane.guests import GuestAddresses
from dataplane.handover import Handover
from dataplane.links import Legs
from dataplane.linux import Linux
from dataplane.nat import Nat, NatInbound, NatOutbound
from dataplane.routes import Anchors, Discards, Fallbacks, Forwards, Peers, RouteTable
from services.netagent.api import Health, Tokens, router
from services.netagent.checkpoint import SqliteCheckpoint
from services.netagent.guests import HelperGuests
from services.netagent.observe import EdgeRoutes, Feed
from services.netagent.reconciler import Reconciler
from services.netagent.render import link_of
from services.netagent.settings import AgentSettings, Role

log = structlog.get_logger()


class SettingMissing(Exception):
    """A role needs a setting that is not there."""


def drivers(settings: AgentSettings, kernel: Linux) -> list[Driver[Any]]:
    """The tables of this node's role, in the order in which rows are put. Attaches the BPF programs.

    Raises SettingMissing, BpfError, BuildError.
    """
    tables = RouteTable(kernel)
    match settings.role:
        case Role.HYPERVISOR:
            pins, cache = _bpf(settings)
            guard = Guard(pins, cache, settings.host_prefixes)
            guests = HelperGuests(_needed(settings.guest_socket, "guest_socket"))
            legs = Legs(kernel, guests, guard.attach, Handover(kernel))
            for leg in legs.observe().values():
                guard.attach(leg.link)  # the present build, in one swap
                _resume(legs, leg)
            return [
                legs,
                GuardPorts(guard),
                GuardAddresses(guard),
                Peers(kernel, settings.vxlan_link),
                Forwards(tables),
                Fallbacks(tables, settings.vxlan_link),
                GuestAddresses(legs, guests, link_of),
                Anchors(tables),
            ]
        case Role.GATEWAY:
            nat = Nat(*_bpf(settings))
            nat.attach(settings.public_link, settings.private_link)
            return [NatOutbound(nat), NatInbound(nat), Anchors(tables)]
        case Role.EDGE:
            return [Discards(tables)]


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
    """Compares the whole with the kernel every so often, shows what differs, then mends it."""

    def __init__(self, reconciler: Reconciler, feed: Feed, settings: AgentSettings) -> None:
        self.asked = threading.Event()
        self._reconciler = reconciler
        self._feed = feed
        self._settings = settings
        self._stopped = threading.Event()

    def start(self) -> None:
        threading.Thread(target=self._run, name="watch", daemon=True).start()

    def stop(self) -> None:
        self._stopped.set()

    def _run(self) -> None:
        while not self._stopped.wait(self._settings.verify_seconds):
            self.asked.clear()
            if self._reconciler.verify():
                seen = self._reconciler.realized()
                log.warning("node.drifted", failed=[f.model_dump() for f in seen.failed[:10]], digest=seen.digest)
                self._feed.drifted()
                self.asked.wait(self._settings.show_drift_seconds)
                self._reconciler.repair()


def build(settings: AgentSettings, kernel: Linux) -> tuple[FastAPI, Watch]:
    """The agent, its kernel already made to match its checkpoint."""
    checkpoint = SqliteCheckpoint(settings.state_directory / "checkpoint.sqlite")
    reconciler = Reconciler(settings.node, drivers(settings, kernel), checkpoint)
    reconciler.repair()
    feed = Feed()
    watch = Watch(reconciler, feed, settings)
    edge = None
    if settings.role is Role.EDGE:
        edge = EdgeRoutes(kernel, feed)
        edge.start()
    tokens = Tokens(Verifier.from_directory(settings.issuer_keys, f"node/{settings.node}"))
    health = Health(name=settings.name, node=str(settings.node), role=settings.role)
    app = create_app("Godwit netagent", [router(reconciler, feed, edge, tokens, health, watch.asked)])
    held = reconciler.realized()
    log.info("agent.ready", role=settings.role, generation=held.generation, failed=len(held.failed))
    return app, watch


def main() -> None:
    settings = AgentSettings()
    logs.configure(f"netagent/{settings.name}")
    app, watch = build(settings, Linux())
    watch.start()
    tls = MutualTls(settings.certificate, settings.certificate_key, settings.controller_ca)
    serve(app, settings.listen, tls)
    watch.stop()


if __name__ == "__main__":
    main()
