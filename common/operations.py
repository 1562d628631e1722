"""Operations (AIP-151): one wire form for every long-running change, in every service."""

from __future__ import annotations

import enum
from datetime import datetime
from typing import Any

from pydantic import ConfigDict, Field, RootModel

from common.wire import Answer


class OperationState(enum.StrEnum):
    """`waiting` names what it waits for; the last three are final."""

    PENDING = "pending"
    RUNNING = "running"
    WAITING = "waiting"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        return self in {OperationState.SUCCEEDED, OperationState.FAILED, OperationState.CANCELLED}


class WaitingFor(Answer):
    """What an operation waits for, since when, and what would unblock it."""

    code: str = Field(examples=["node.unreachable"])
    text: str
    since: datetime
    unblock: str


class OperationError(Answer):
    """Why an operation failed: a stable code and a sentence."""

    code: str
    message: str


class OperationStep(Answer):
    """One step of an operation and when it was reached."""

    name: str
    at: datetime


class OperationResult(RootModel[dict[str, Any]]):
    """What came of an operation that succeeded; its kind says what is in it."""


class Operation(Answer):
    """A long-running change that can be watched."""

    model_config = ConfigDict(from_attributes=True)

    id: str = Field(examples=["ipam-0192f0c1-7c1e-7c52-9d3a-0f5e0c3b7a11"])
    kind: str = Field(examples=["flexible_ip.attach"])
    resource: str = Field(
        description="Path of the resource it changes.",
        examples=["/ipam/v1/flexible-ips/0192f0c1-6a2b-7d31-8f0e-41d2a7c0e5b9"],
    )
    project: str
    state: OperationState
    waiting_for: WaitingFor | None = None
    progress: float = Field(0.0, ge=0.0, le=1.0)
    steps: list[OperationStep] = Field([])
    error: OperationError | None = None
    result: OperationResult | None = None
    request_id: str | None = Field(
        None,
        description="Of the request that began it; the logs of services and agents know what they do for it by that.",
    )
    actor: str | None = Field(None, description="Who asked for it; null: the service itself did.")
    created_at: datetime
    updated_at: datetime
