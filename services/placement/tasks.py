"""Celery tasks: a name for a use case each. They carry names, and may be lost, repeated, or run twice at once."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

import structlog
from celery import Celery, Task

from common import metrics
from common.errors import Unavailable
from common.logs import on_behalf_of
from common.tasks import rung_for
from services.placement import bells
from services.placement.reconcile import Reconciler
from services.placement.store.conversions import Batch

log = structlog.get_logger()


def use_cases(reconciler: Reconciler) -> dict[str, Callable[..., None]]:
    """What each wake-up asks for, by its name."""
    return {
        bells.NODE: lambda node_id: reconciler.sync.node(UUID(node_id)),
        bells.RESYNC: lambda node_id: reconciler.sync.whole(UUID(node_id)),
        bells.OPERATION: reconciler.progress.take,
        bells.NODE_WORK: lambda node_id: reconciler.works.take(UUID(node_id)),
        bells.FAILOVER: lambda edge_id: reconciler.failovers.take(UUID(edge_id)),
        bells.ADDRESS_FENCES: reconciler.address_fences.take,
        bells.ARCHIVES: reconciler.disks.tidy,
        bells.CONVERSION: lambda conversion_id: reconciler.zones.take(UUID(conversion_id)),
        bells.CONVERSION_BATCH: lambda wave, node: reconciler.ports.take(Batch(wave, node)),
        bells.REPORT: lambda port_id: reconciler.sets.report(UUID(port_id)),
        bells.ADDRESS_SET: lambda kind, target_id: reconciler.sets.follow(kind, UUID(target_id)),
        bells.POOLS: reconciler.pools,
        bells.SWEEP: reconciler.sweep,
    }


def register(app: Celery, reconciler: Callable[[], Reconciler]) -> None:
    """Give `app` the controller's tasks; `reconciler` is asked for one when a task runs."""

    def task(name: str) -> None:
        def run(self: Task, *names: str) -> None:
            asked = rung_for(self)
            with on_behalf_of(asked):
                try:
                    with metrics.task(name, deferred=Unavailable):
                        use_cases(reconciler())[name](*names)
                except Unavailable as error:  # the sweep, or the next bell, takes it up again
                    log.warning("task.deferred", task=name, names=names, code=error.code, error=error.message)
                else:
                    if asked is not None:
                        log.info("task.done", task=name, names=names)

        app.task(name=name, bind=True)(run)

    for name in bells.ALL:
        task(name)
