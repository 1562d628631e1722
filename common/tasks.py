"""Celery as a carrier of wake-ups: names only, late acknowledgement, and a database that remembers what is due.

The settings answer faults that were measured: with early acknowledgement a killed worker loses its task; with a short
visibility timeout a long task runs twice.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import structlog
from celery import Celery, Task
from kombu.exceptions import ChannelError, OperationalError
from kombu.messaging import Producer
from redis.exceptions import RedisError

from common.logs import HEADER, request_id

log = structlog.get_logger()


def celery(name: str, broker_url: str) -> Celery:
    app = Celery(name, broker=broker_url, set_as_current=False)
    app.conf.update(
        task_serializer="json",
        accept_content=["json"],
        task_acks_late=True,
        task_ignore_result=True,
        worker_prefetch_multiplier=1,
        worker_hijack_root_logger=False,
        worker_soft_shutdown_timeout=3,
        worker_send_task_events=False,
        broker_connection_retry_on_startup=True,
        broker_transport_options={
            "visibility_timeout": 300,
            "max_retries": 0,  # who rings a bell does not wait for a dead broker; a worker reconnects by its own rule
            "unacked_restore_interval": 1,
            "socket_timeout": 5,
            "socket_connect_timeout": 2,
            "socket_keepalive": True,
            "health_check_interval": 25,
        },
    )
    return app


def waiting(app: Celery, queues: Iterable[str]) -> dict[str, int]:
    """How many wake-ups wait in each queue; of none from where on the broker does not answer."""
    counts: dict[str, int] = {}
    try:
        with app.connection_for_read() as connection:
            for queue in queues:
                counts[queue] = _waiting(connection.default_channel, queue)
    except (OperationalError, RedisError, OSError) as error:
        log.warning("broker.silent", error=str(error))
    return counts


def _waiting(channel: Any, queue: str) -> int:
    try:
        count: int = channel.queue_declare(queue, passive=True).message_count
    except ChannelError:  # nothing waits in a queue that is not there
        return 0
    return count


def _headers() -> dict[str, str]:
    """What a wake-up says of whoever rings: a name, which nothing depends on."""
    on_behalf_of = request_id()
    return {} if on_behalf_of is None else {HEADER: on_behalf_of}


def rung_for(task: Task) -> str | None:
    """The request on whose behalf the running task was rung."""
    found: str | None = (task.request.headers or {}).get(HEADER)
    return found


class Attendance:
    """How many workers listen to each queue. They are asked at most once in a while, and have a second to answer."""

    ASKED_EVERY_S = 5.0

    def __init__(self, app: Celery) -> None:
        self._app = app
        self._lock = threading.Lock()
        self._counts: dict[str, int] = {}
        self._asked_at = -self.ASKED_EVERY_S

    def __call__(self) -> dict[str, int]:
        with self._lock:
            if time.monotonic() - self._asked_at >= self.ASKED_EVERY_S:
                self._counts = self._ask()
                self._asked_at = time.monotonic()
            return self._counts

    def _ask(self) -> dict[str, int]:
        try:
            answers = self._app.control.inspect(timeout=1.0).active_queues() or {}
        except (OperationalError, RedisError, OSError) as error:
            log.warning("broker.silent", error=str(error))
            return {}
        return Counter(queue["name"] for queues in answers.values() for queue in queues)


SILENCE_S = 1.0
"""After a lost bell no other is tried for so long: a broker that hangs delays one request a second, not all."""

QueueOf = Callable[[str, Sequence[str]], str]
"""The queue of a wake-up, from its task's name and the names it carries."""


class Bells:
    """Rings tasks by name. A broker that does not answer is logged once per outage; the sweep finds what was missed."""

    def __init__(self, app: Celery, queue_of: QueueOf) -> None:
        self._app = app
        self._kept = threading.local()  # a producer a thread: making one takes longer than a send
        self._queue_of = queue_of
        self._silent = False
        self._retry_at = 0.0

    def __call__(self, name: str, names: Sequence[str]) -> None:
        if self._silent and time.monotonic() < self._retry_at:
            return
        try:
            self._app.send_task(
                name,
                args=list(names),
                queue=self._queue_of(name, names),
                retry=False,
                ignore_result=True,
                headers=_headers(),
                producer=self._producer(),
            )
            self._silent = False
        except (OperationalError, RedisError, OSError) as error:
            self._kept.producer = None
            if not self._silent:
                log.warning("doorbell.lost", bell=name, error=str(error))
            self._silent = True
            self._retry_at = time.monotonic() + SILENCE_S

    def _producer(self) -> Producer:
        kept: Producer | None = getattr(self._kept, "producer", None)
        if kept is None:
            kept = self._kept.producer = self._app.amqp.Producer(self._app.connection_for_write())
        return kept
