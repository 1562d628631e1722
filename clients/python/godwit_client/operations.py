"""Operations of both services: read one, watch it, wait for it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from math import inf
from typing import TypeVar, cast
from uuid import UUID

from godwit_client.connection import Connection
from godwit_client.ipam import models as ipam
from godwit_client.ipam.api.operations import get_operation as get_ipam_operation
from godwit_client.placement import models as placement
from godwit_client.placement.api.operations import get_operation as get_placement_operation
from godwit_client.problems import answer

Operation = ipam.Operation | placement.Operation
O = TypeVar("O", bound=Operation)  # noqa: E741

LONG_POLL_S = 10.0
FINAL = {"succeeded", "failed", "cancelled"}


class OperationFailed(Exception):
    """An operation that was waited for did not succeed. `code` is that of its error."""

    def __init__(self, operation: Operation) -> None:
        self.operation = operation
        error = operation.error
        ended = f"failed: {error.message}" if error else f"was {operation.state}"
        self.message = f"{operation.kind} {ended}"
        self.code = error.code if error else f"operation.{operation.state}"
        super().__init__(self.message)


class OperationUnfinished(Exception):
    """An operation that was waited for is not final in time; `operation.waiting_for` may say why. It goes on."""

    code = "operation.unfinished"

    def __init__(self, operation: Operation) -> None:
        self.operation = operation
        waits = f": {operation.waiting_for.text}" if operation.waiting_for else ""
        self.message = f"{operation.kind} is still {operation.state}{waits}"
        super().__init__(self.message)


def read_operation(cloud: Connection, operation_id: str, wait_s: float = 0.0) -> Operation:
    """The operation now, or as soon as it is final, at most `wait_s` (30) seconds later.

    Its id says which service knows it. Raises Refused, or ValueError if it is no operation's.
    """
    if operation_id.startswith("ipam-"):
        return answer(get_ipam_operation.sync_detailed(operation_id, client=cloud.ipam, wait_s=wait_s))
    if operation_id.startswith("placement-"):
        return answer(get_placement_operation.sync_detailed(operation_id, client=cloud.placement, wait_s=wait_s))
    raise ValueError(f"{operation_id!r} is no operation id; one starts with `ipam-` or `placement-`")


def is_final(operation: Operation) -> bool:
    return operation.state in FINAL


def watch(cloud: Connection, started: O, poll_s: float = LONG_POLL_S) -> Iterator[O]:
    """The operation as it is, and again every `poll_s` seconds (at most 30) until it is final. Raises Refused."""
    now = started
    yield now
    while not is_final(now):
        now = cast("O", read_operation(cloud, now.id, poll_s))
        yield now


def wait(cloud: Connection, started: O, within_s: float = inf) -> O:
    """Wait until it has succeeded. Raises OperationFailed, OperationUnfinished after `within_s` seconds, Refused."""
    ends = time.monotonic() + within_s
    now = started
    while not is_final(now):
        left_s = ends - time.monotonic()
        if left_s <= 0:
            raise OperationUnfinished(now)
        now = cast("O", read_operation(cloud, now.id, min(LONG_POLL_S, left_s)))
    if now.state != "succeeded":
        raise OperationFailed(now)
    return now


def resource_id(operation: Operation) -> UUID:
    """The id of what it changes: the last part of its path."""
    return UUID(operation.resource.rpartition("/")[2])
