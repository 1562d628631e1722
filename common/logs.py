"""Structured logs: one JSON object a line on standard error, one event each, units in the field names."""

from __future__ import annotations

import logging
import sys
from contextlib import AbstractContextManager, nullcontext

import structlog

HEADER = "X-Request-ID"
"""Carries the id from service to service, and to agents; wake-ups carry it as a header of that name too."""


def request_id() -> str | None:
    """Of the request on whose behalf we work, as far as it is known; all that is logged meanwhile bears it."""
    found: str | None = structlog.contextvars.get_contextvars().get("request_id")
    return found


def actor() -> str | None:
    """Who makes the request that is being answered; None where we work by ourselves."""
    found: str | None = structlog.contextvars.get_contextvars().get("subject")
    return found


def on_behalf_of(request: str | None) -> AbstractContextManager[object]:
    """Work for this request meanwhile; None: for whom we worked before."""
    return nullcontext() if request is None else structlog.contextvars.bound_contextvars(request_id=request)


def configure(process: str) -> None:
    """Log as `process`; the standard library's loggers join at warning and above."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(process=process)
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s %(message)s")
