"""Answers of either API as results, errors as one exception."""

from __future__ import annotations

import json
from collections.abc import MutableMapping
from http import HTTPStatus
from typing import Any, Protocol, TypeVar, cast

from godwit_client.ipam.models import Problem as IpamProblem
from godwit_client.placement.models import Problem as PlacementProblem

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Refused(Exception):
    """The API answered with an error. `code` is stable; `retryable` says whether the same request may succeed later.

    `errors` says what is wrong with which field; `request_id` is what the service's logs know the request by.
    """

    def __init__(
        self, status: int, code: str, message: str, retryable: bool, errors: list[dict[str, Any]], request_id: str
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.retryable = retryable
        self.errors = errors
        self.request_id = request_id


class Response(Protocol[T_co]):
    """What both generated clients return."""

    @property
    def status_code(self) -> HTTPStatus: ...
    @property
    def content(self) -> bytes: ...
    @property
    def headers(self) -> MutableMapping[str, str]: ...
    @property
    def parsed(self) -> T_co | None: ...


def answer(response: Response[T | IpamProblem | PlacementProblem]) -> T:
    """The result that the API answered with. Raises Refused."""
    if response.status_code >= 400 or response.parsed is None:
        raise refusal(response.status_code, response.content, response.headers.get("X-Request-ID", ""))
    return cast("T", response.parsed)


def refusal(status: int, content: bytes, request_id: str) -> Refused:
    """The error that an answer of status 400 or above carries, also when it is no problem document."""
    try:
        problem = json.loads(content)
    except ValueError:
        problem = {}
    if not isinstance(problem, dict):
        problem = {}
    text = content.decode("utf-8", "replace").strip()[:200]
    detail = problem.get("detail") or text or f"the server answered {status} and said nothing more"
    errors = problem.get("errors") or []
    code = problem.get("code", f"http.{status}")
    return Refused(status, code, detail, bool(problem.get("retryable")), errors, request_id)


class Revised(Protocol):
    """A resource that changes are refused of when it is not as the caller believes."""

    @property
    def revision(self) -> int: ...


def etag(resource: Revised) -> str:
    """The value for `if_match` that lets a change through only while the resource is as it was read."""
    return f'"{resource.revision}"'
