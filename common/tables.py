"""Columns that the tables of every service share: its operations, and the answers it keeps to be given again."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import DateTime, String, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from common.logs import actor, request_id
from common.operations import OperationState


class OperationColumns:
    """Columns of a service's `operation` table."""

    id: Mapped[str] = mapped_column(String, primary_key=True)
    kind: Mapped[str] = mapped_column(String)
    resource: Mapped[str] = mapped_column(String, index=True)
    project: Mapped[str] = mapped_column(String, index=True)
    state: Mapped[str] = mapped_column(String, default=OperationState.PENDING)
    waiting_for: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    progress: Mapped[float] = mapped_column(default=0.0)
    steps: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, default=list)
    error: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    result: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    request_id: Mapped[str | None] = mapped_column(String, default=request_id)
    actor: Mapped[str | None] = mapped_column(String, default=actor)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), default=lambda: datetime.now(UTC))
    updated_at: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), default=lambda: datetime.now(UTC), onupdate=lambda: datetime.now(UTC)
    )

    @property
    def finished(self) -> bool:
        return OperationState(self.state).final

    def reach(self, step: str, progress: float) -> None:
        """Record that `step` is reached now; it is no longer waiting."""
        self.state = OperationState.RUNNING
        self.waiting_for = None
        self.progress = progress
        self.steps = [*(self.steps or []), {"name": step, "at": datetime.now(UTC).isoformat()}]

    def wait(self, code: str, text: str, unblock: str) -> None:
        """Say what it waits for; the time stays that of the first such call."""
        if self.waiting_for and self.waiting_for["code"] == code and self.waiting_for["text"] == text:
            return
        since = datetime.now(UTC).isoformat()
        self.state = OperationState.WAITING
        self.waiting_for = {"code": code, "text": text, "since": since, "unblock": unblock}

    def succeed(self, result: dict[str, Any] | None = None) -> None:
        self.reach("done", 1.0)
        self.state = OperationState.SUCCEEDED
        self.result = result

    def cancel(self) -> None:
        self.state = OperationState.CANCELLED
        self.waiting_for = None

    def fail(self, code: str, message: str) -> None:
        self.state = OperationState.FAILED
        self.waiting_for = None
        self.error = {"code": code, "message": message}


class IdempotencyColumns:
    """Columns of a service's `idempotency` table: an answer kept to be given again, for 24 hours."""

    project: Mapped[str] = mapped_column(String, primary_key=True)
    subject: Mapped[str] = mapped_column(String, primary_key=True)
    operation_id: Mapped[str] = mapped_column(String, primary_key=True)
    key: Mapped[str] = mapped_column(String, primary_key=True)
    fingerprint: Mapped[str] = mapped_column(String)
    status: Mapped[int]
    body: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), default=lambda: datetime.now(UTC), index=True)
