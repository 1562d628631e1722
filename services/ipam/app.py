"""The ledger's process: `python -m services.ipam.app`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from fastapi import FastAPI

from common.auth import Verifier
from common.db import Database, Ring
from common.logs import configure
from common.metrics import listen
from common.serve import serve
from common.tasks import Bells, celery, waiting
from common.web import Wiring, create_app
from services.ipam import api, doorbell, metrics
from services.ipam.model import Idempotency
from services.ipam.settings import Settings
from services.ipam.wire import POOLS_QUEUE


def create(settings: Settings, ring: Ring | None = None) -> FastAPI:
    """The application; `ring` replaces the broker."""
    broker = celery("ipam", settings.broker_url)
    bells = ring or Bells(broker, doorbell.queue_of)
    database = Database(settings.database_url, bells, settings.pool_size)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        database.close()

    app = create_app(
        "Godwit IPAM",
        [api.router],
        api.TAGS,
        description="Owns every public address: pools, prefixes, flexible IPs; who holds which, who held it when.",
        lifespan=lifespan,
    )
    app.state.wiring = Wiring(Verifier.from_directory(settings.issuer_keys, "ipam"), database, Idempotency)
    app.state.waiting = partial(waiting, broker, [POOLS_QUEUE])
    app.state.readings = metrics.readings(database)
    return app


def main() -> None:
    configure("ipam")
    settings = Settings()
    app = create(settings)
    listen(settings.metrics, app.state.readings)
    serve(app, settings.listen)


if __name__ == "__main__":
    main()
