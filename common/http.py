"""Base of the clients that services use for each other: tokens, deadlines, problems back to errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx

from common.errors import Unavailable, from_code
from common.logs import HEADER, request_id

CONNECT_TIMEOUT_S = 2.0

TokenSource = Callable[[], str]


class Unreachable(Unavailable):
    """The other service did not answer; whether the request took effect is unknown."""

    code = "peer.unreachable"


def raise_problem(response: httpx.Response) -> None:
    """Raise the DomainError that an answer of status 400 or above carries."""
    if response.is_success:
        return
    try:
        problem: dict[str, Any] = response.json()
    except ValueError:
        problem = {}
    code = problem.get("code", f"http.{response.status_code}")
    raise from_code(
        response.status_code,
        code,
        problem.get("detail", response.text[:200]),
        problem.get("errors"),
        retryable=problem.get("retryable", response.status_code == 503),
    )


class ServiceClient:
    """A synchronous client of one peer; safe to share between threads."""

    def __init__(self, base_url: str, token: TokenSource, timeout_s: float = 5.0, **kwargs: Any) -> None:
        timeout = httpx.Timeout(timeout_s, connect=CONNECT_TIMEOUT_S)
        self._http = httpx.Client(base_url=base_url, timeout=timeout, **kwargs)
        self._token = token

    def request(self, method: str, path: str, **kwargs: Any) -> httpx.Response:
        """Raises Unreachable, or the DomainError the peer answered with."""
        headers = {"Authorization": f"Bearer {self._token()}", **kwargs.pop("headers", {})}
        if (on_behalf_of := request_id()) is not None:
            headers[HEADER] = on_behalf_of
        try:
            response = self._http.request(method, path, headers=headers, **kwargs)
        except httpx.TransportError as error:
            raise Unreachable(f"{self._http.base_url} does not answer: {error or type(error).__name__}") from error
        raise_problem(response)
        return response

    def close(self) -> None:
        self._http.close()
