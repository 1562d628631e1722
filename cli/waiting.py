"""Watching operations of both services until they are done."""

from __future__ import annotations

import sys
from uuid import UUID

from godwit_client import Connection, answer
from godwit_client.ipam import models as ipam
from godwit_client.ipam.api.operations import get_operation as get_ipam
from godwit_client.placement import models as placement
from godwit_client.placement.api.operations import get_operation as get_placement

from cli.output import Progress
from cli.problems import OperationFailed, Usage

Operation = ipam.Operation | placement.Operation
LONG_POLL_S = 5.0


def get(api: Connection, operation_id: str, wait_s: float = 0.0) -> Operation:
    """The operation now, or when it is done, at most `wait_s` seconds later. Raises Refused, Usage."""
    if operation_id.startswith("ipam-"):
        return answer(get_ipam.sync_detailed(operation_id, client=api.ipam, wait_s=wait_s))
    if operation_id.startswith("placement-"):
        return answer(get_placement.sync_detailed(operation_id, client=api.placement, wait_s=wait_s))
    raise Usage(f"{operation_id!r} is no operation id; one starts with `ipam-` or `placement-`", "operation.id")


def state_of(operation: Operation) -> str:
    return str(operation.state.value)


def describe(operation: Operation) -> str:
    """What it is doing, in a line."""
    line = f"{operation.kind}: {state_of(operation)}"
    steps = operation.steps or []
    if isinstance(operation.waiting_for, ipam.WaitingFor | placement.WaitingFor):
        return f"{line}: {operation.waiting_for.text}"
    if steps and state_of(operation) == "running":
        return f"{line}: {steps[-1].name}"
    return line


def done(operation: Operation) -> bool:
    return state_of(operation) in {"succeeded", "failed", "cancelled"}


def wait(api: Connection, operation: Operation) -> Operation:
    """Wait until it has succeeded, telling what it does. Raises OperationFailed when it ends otherwise."""
    progress = Progress()
    told = ""
    try:
        while not done(operation):
            line = describe(operation)
            progress.say(line)
            if state_of(operation) == "waiting" and line != told and not sys.stderr.isatty():
                print(line, file=sys.stderr)
                told = line
            operation = get(api, operation.id, LONG_POLL_S)
    except KeyboardInterrupt:
        progress.done()
        print(f"it goes on without you; `godwit operation watch {operation.id}` shows how", file=sys.stderr)
        raise
    finally:
        progress.done()
    raise_unless_succeeded(operation)
    return operation


def raise_unless_succeeded(operation: Operation) -> None:
    """Raises OperationFailed with the operation's own words and code."""
    error = operation.error
    if isinstance(error, ipam.OperationError | placement.OperationError):
        raise OperationFailed(f"{operation.kind} failed: {error.message}", error.code)
    if state_of(operation) != "succeeded":
        raise OperationFailed(f"{operation.kind} was {state_of(operation)}", f"operation.{state_of(operation)}")


def resource_id(operation: Operation) -> UUID:
    """The id of what it changes: the last part of its path."""
    return UUID(operation.resource.rsplit("/", 1)[-1])
