"""`python -m services.placement.worker worker|migration-worker|beat`: the Celery processes of the controller.

The migration worker takes conversions alone, so that a zone of thousands of ports holds up nobody's attachment.
"""

from __future__ import annotations

import gc
import sys
from functools import cache
from pathlib import Path
from tempfile import gettempdir

from celery import Celery

from common import logs
from common.db import Database
from common.metrics import listen
from common.tasks import Bells, celery, waiting
from services.ipam.client import IpamClient
from services.placement import bells, tasks
from services.placement.agents import Agents, service_token
from services.placement.reconcile import Reconciler
from services.placement.settings import PlacementSettings


def reconciler(settings: PlacementSettings, app: Celery) -> Reconciler:
    return Reconciler(
        Database(settings.database_url, Bells(app, bells.queue_of), pool_size=settings.worker_threads + 4),
        Agents(settings),
        IpamClient(settings.ipam_url, service_token(settings, "ipam")),
        settings.archive_url,
        lambda queue: waiting(app, [queue]).get(queue, 0),  # what is rung while the broker is silent is lost
    )


def create(settings: PlacementSettings) -> Celery:
    """The Celery application with its tasks, queues and schedule."""
    app = celery("placement", settings.broker_url)
    app.conf.beat_schedule = {
        "sweep": {
            "task": bells.SWEEP,
            "schedule": settings.sweep_seconds,
            # One that was not run by the time the next is due would only repeat its work.
            "options": {"queue": bells.queue_of(bells.SWEEP, ()), "expires": settings.sweep_seconds},
        },
    }
    tasks.register(app, cache(lambda: reconciler(settings, app)))
    return app


def main() -> None:
    role = sys.argv[1] if len(sys.argv) == 2 else ""
    if role not in {*bells.QUEUES, "beat"}:
        sys.exit(f"usage: python -m services.placement.worker {'|'.join(bells.QUEUES)}|beat")
    settings = PlacementSettings()
    logs.configure(role)
    app = create(settings)
    if role == "beat":
        # What beat remembers between runs is only when it last rang: losing it costs one sweep early.
        schedule = Path(gettempdir()) / f"godwit-beat-{id(app)}"
        app.Beat(schedule=str(schedule), loglevel="WARNING").run()
        return
    listen(settings.metrics)
    # Rows come in by the thousand: at the usual thresholds a quarter of a batch's time goes into looking for cycles.
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    quiet = ("--loglevel=WARNING", "--without-gossip", "--without-mingle", "--without-heartbeat")
    app.worker_main(
        [
            "worker",
            f"--hostname={role}@%h",  # two of one name would take each other's questions (`Attendance`)
            "--pool=threads",
            f"--concurrency={settings.worker_threads}",
            f"--queues={','.join(bells.QUEUES[role])}",
            *quiet,
        ]
    )


if __name__ == "__main__":
    main()
