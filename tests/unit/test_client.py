"""The Python client: patience with what may be repeated, and errors as one exception."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest
from godwit_client.problems import refusal
from godwit_client.transport import Patient, RetryingTransport


class Server:
    """Answers in turn, and remembers what it was asked; the clock moves when somebody pauses."""

    def __init__(self, *answers: httpx.Response | type[httpx.TransportError]) -> None:
        self.answers = list(answers)
        self.keys: list[str | None] = []
        self.now = 0.0

    def handle(self, request: httpx.Request) -> httpx.Response:
        self.keys.append(request.headers.get("idempotency-key"))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, httpx.Response):
            return answer
        raise answer("silence", request=request)

    def pause(self, seconds: float) -> None:
        self.now += seconds

    def client(self) -> httpx.Client:
        inner = httpx.MockTransport(self.handle)
        transport = RetryingTransport(Patient(3.0, 15.0), inner, lambda: self.now, self.pause)
        return httpx.Client(transport=transport, base_url="http://api")


def problem(status: int, code: str) -> httpx.Response:
    return httpx.Response(status, json={"code": code, "detail": "a sentence", "retryable": status == 503})


@pytest.mark.parametrize(
    "first",
    [
        lambda: problem(503, "database.unavailable"),
        lambda: problem(409, "idempotency.in_flight"),
        lambda: httpx.ConnectError,
        lambda: httpx.ReadError,
    ],
)
def test_what_may_be_repeated_is_repeated_under_one_key(first: Callable[[], httpx.Response]) -> None:
    server = Server(first(), httpx.Response(202))
    assert server.client().post("/x").status_code == 202
    assert len(server.keys) == 2
    assert server.keys[0] is not None
    assert server.keys[0] == server.keys[1]


def test_two_requests_have_two_keys_and_reading_has_none() -> None:
    server = Server(httpx.Response(200))
    client = server.client()
    client.post("/x")
    client.delete("/x")
    client.get("/x")
    first, second, none = server.keys
    assert first != second
    assert none is None


@pytest.mark.parametrize("status", [400, 404, 409, 422, 500])
def test_a_refusal_is_not_repeated(status: int) -> None:
    server = Server(problem(status, "no"))
    assert server.client().post("/x").status_code == status
    assert len(server.keys) == 1


def test_patience_with_503_ends() -> None:
    server = Server(problem(503, "database.unavailable"))
    assert server.client().get("/x").status_code == 503
    assert 10 < server.now <= 15


def test_patience_with_silence_ends_sooner() -> None:
    server = Server(httpx.ConnectError)
    with pytest.raises(httpx.ConnectError):
        server.client().get("/x")
    assert 1 < server.now <= 3


def test_a_refusal_carries_code_and_words() -> None:
    error = refusal(409, b'{"code": "ipam.taken", "detail": "it is taken", "errors": [{"field": "address"}]}', "r1")
    assert (error.status, error.code, error.message, error.retryable) == (409, "ipam.taken", "it is taken", False)
    assert error.errors == [{"field": "address"}]
    assert error.request_id == "r1"


@pytest.mark.parametrize("content", [b"", b"<html>", b"[]", b'"x"', b"{}", b"\xff"])
def test_an_error_that_is_no_problem_document_still_says_something(content: bytes) -> None:
    error = refusal(502, content, "r1")
    assert error.code == "http.502"
    assert error.message
