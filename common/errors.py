"""Domain errors: what went wrong in words a caller can act on, with a stable code. HTTP is `common.web`'s business."""

from __future__ import annotations

from typing import Any, ClassVar


class DomainError(Exception):
    """Base of every error that is an answer, not a fault.

    `code` is stable and documented; `retryable` says whether the same request may succeed later unchanged.
    """

    code: ClassVar[str] = "internal"
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, errors: list[dict[str, Any]] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.errors = errors or []


class NotFound(DomainError):
    """There is nothing of that name for this caller; a foreign project's resource answers the same."""

    code = "not_found"


class Conflict(DomainError):
    """The request contradicts the present state."""

    code = "conflict"


class Invalid(DomainError):
    """The request can never succeed as it is."""

    code = "invalid"


class Forbidden(DomainError):
    """The caller's roles do not allow it."""

    code = "forbidden"


class Unauthenticated(DomainError):
    """No valid token came with the request."""

    code = "unauthenticated"


class PreconditionFailed(DomainError):
    """`If-Match` names another revision than the present one."""

    code = "precondition_failed"


class Unavailable(DomainError):
    """A part that is needed does not answer now."""

    code = "unavailable"
    retryable = True


def from_code(
    status: int, code: str, message: str, errors: list[dict[str, Any]] | None = None, *, retryable: bool = False
) -> DomainError:
    """The error another service answered with, as an exception of the same class and code."""
    base: type[DomainError] = {
        401: Unauthenticated,
        403: Forbidden,
        404: NotFound,
        409: Conflict,
        412: PreconditionFailed,
        422: Invalid,
        503: Unavailable,
    }.get(status, DomainError)
    known = type(base.__name__, (base,), {"code": code, "retryable": retryable, "__doc__": base.__doc__})
    error: DomainError = known(message, errors)
    return error
