"""Celery tasks: a name for a use case each. They carry names, and may be lost, repeated, or run twice at once."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

import structlog
from celery import Celery

from common.errors import Unavailable
from services.placement import bells
from services.placement.reconcile import Reconciler

log = structlog.get_logger()


def register(app: Celery, reconciler: Callable[[], Reconciler]) -> None:
    """Give `app` the controller's tasks; `reconciler` is asked for one when a task runs."""

    def task(name: str, use_case: Callable[..., None]) -> None:
        def run(*names: str) -> None:
            try:
                use_case(*names)
            except Unavailable as error:  # the sweep, or the next bell, takes it up again
                log.warning("task.deferred", task=name, names=names, code=error.code, error=error.message)

        app.task(name=name)(run)

    def sync_node(node_id: str) -> None:
        reconciler().sync.node(UUID(node_id))

    def resync_node(node_id: str) -> None:
        reconciler().sync.whole(UUID(node_id))

    def take_operation(operation_id: str) -> None:
        reconciler().progress.take(operation_id)

    def report_port(port_id: str) -> None:
        reconciler().sets.report(UUID(port_id))

    def follow_address_set(kind: str, target_id: str) -> None:
        reconciler().sets.follow(kind, UUID(target_id))

    def follow_pools() -> None:
        reconciler().pools()

    def sweep() -> None:
        reconciler().sweep()

    task(bells.NODE, sync_node)
    task(bells.RESYNC, resync_node)
    task(bells.OPERATION, take_operation)
    task(bells.REPORT, report_port)
    task(bells.ADDRESS_SET, follow_address_set)
    task(bells.POOLS, follow_pools)
    task(bells.SWEEP, sweep)
