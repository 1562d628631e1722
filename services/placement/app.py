"""`python -m services.placement.app`: the controller's API."""

from __future__ import annotations

from functools import partial

from fastapi import FastAPI

from common import logs
from common.auth import Verifier
from common.db import Database, Ring
from common.metrics import listen
from common.serve import serve
from common.tasks import Attendance, Bells, celery, waiting
from common.web import Wiring, create_app
from services.ipam.client import IpamClient
from services.placement import api
from services.placement.agents import Agents, service_token
from services.placement.bells import queue_of
from services.placement.conversion.observer import Observer
from services.placement.model import Idempotency
from services.placement.service.status import Surroundings
from services.placement.settings import PlacementSettings
from services.placement.trace.gather import Tracer


def create(
    settings: PlacementSettings,
    ring: Ring | None = None,
    ledger: IpamClient | None = None,
    agents: Agents | None = None,
) -> FastAPI:
    """The application; `ring` replaces the broker, `ledger` the way to the ledger, `agents` those to the nodes."""
    broker = celery("placement", settings.broker_url)
    bells = ring or Bells(broker, queue_of)
    app = create_app(
        "Godwit placement",
        [api.router],
        api.TAGS,
        description="Runs the fleet: zones, nodes, flavours, instances and their moves.",
    )
    database = Database(settings.database_url, bells)
    app.state.wiring = Wiring(Verifier.from_directory(settings.issuer_keys, "placement"), database, Idempotency)
    agents = agents or Agents(settings)
    ledger = ledger or IpamClient(settings.ipam_url, service_token(settings, "ipam"))
    app.state.observer = Observer(database, agents)
    app.state.tracer = Tracer(database, agents, ledger)
    app.state.ledger = ledger
    files = {"controller": settings.certificate, "nodes": settings.node_ca}
    app.state.surroundings = Surroundings(partial(waiting, broker), Attendance(broker), files)
    return app


def main() -> None:
    settings = PlacementSettings()
    logs.configure("placement")
    listen(settings.metrics)
    serve(create(settings), settings.listen)


if __name__ == "__main__":
    main()
