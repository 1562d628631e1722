"""HTTP for every service: problem+json (RFC 9457), calls with idempotency and ETags, paging, long polls."""

from common.web.app import create_app
from common.web.calls import Call, Wiring, changing, check_revision, creating, reading, resource
from common.web.paging import Page, Paging, PagingDep
from common.web.problems import FieldError, Problem, refuses
from common.web.watching import WaitSeconds, when_final

__all__ = [
    "Call",
    "FieldError",
    "Page",
    "Paging",
    "PagingDep",
    "Problem",
    "WaitSeconds",
    "Wiring",
    "changing",
    "check_revision",
    "create_app",
    "creating",
    "reading",
    "refuses",
    "resource",
    "when_final",
]
