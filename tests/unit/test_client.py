"""The Python client: patience with what may be repeated, errors as one exception, lists page by page, waiting."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import httpx
import pytest
from godwit_client import Connection, OperationFailed, OperationUnfinished, every, ipam, placement, wait, watch
from godwit_client.ipam.models import Family, Operation
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


def test_a_list_is_read_page_after_page_as_far_as_it_is_wanted() -> None:
    pages = {None: (["a", "b"], "c1"), "c1": ([], "c2"), "c2": (["c"], None)}
    asked: list[str | None] = []

    def fetch(cursor: str | None) -> SimpleNamespace:
        asked.append(cursor)
        items, next_cursor = pages[cursor]
        return SimpleNamespace(items=items, next_cursor=next_cursor)

    found = every(fetch)
    assert (next(found), asked) == ("a", [None])
    assert list(found) == ["b", "c"]
    assert asked == [None, "c1", "c2"]


def operation(state: str, code: str | None = None) -> dict[str, object]:
    waits = {"code": "node.unreachable", "text": "hypervisor-1 does not answer", "since": WHEN, "unblock": "fence it"}
    return {
        "id": "ipam-1",
        "kind": "flexible_ip.attach",
        "resource": "/ipam/v1/flexible-ips/1",
        "project": "red",
        "state": state,
        "waiting_for": waits if state == "waiting" else None,
        "progress": 0.0,
        "steps": [],
        "error": {"code": code, "message": "it went"} if code else None,
        "result": None,
        "request_id": "r1",
        "actor": "rita",
        "created_at": WHEN,
        "updated_at": WHEN,
    }


WHEN = "2026-01-31T12:00:00Z"
PENDING = Operation.from_dict(operation("pending"))


def ledger(*states: dict[str, object]) -> Connection:
    """A ledger whose operation is in these states, one after the other."""
    server = Server(*(httpx.Response(200, json=state) for state in states))
    url, arguments = "http://api", {"transport": httpx.MockTransport(server.handle)}
    return Connection(
        ipam.AuthenticatedClient(base_url=url, token="t", httpx_args=arguments),  # noqa: S106
        placement.AuthenticatedClient(base_url=url, token="t"),  # noqa: S106
    )


def test_an_operation_is_watched_until_it_is_final() -> None:
    cloud = ledger(operation("running"), operation("waiting"), operation("succeeded"))
    assert [str(now.state) for now in watch(cloud, PENDING)] == ["pending", "running", "waiting", "succeeded"]


def test_waiting_ends_with_success_or_says_why_not() -> None:
    assert wait(ledger(operation("running"), operation("succeeded")), PENDING).state == "succeeded"
    with pytest.raises(OperationFailed) as failed:
        wait(ledger(operation("failed", "ipam.target.deleted")), PENDING)
    assert (failed.value.code, failed.value.message) == ("ipam.target.deleted", "flexible_ip.attach failed: it went")
    with pytest.raises(OperationFailed) as cancelled:
        wait(ledger(operation("cancelled")), PENDING)
    assert cancelled.value.code == "operation.cancelled"
    with pytest.raises(OperationUnfinished, match="hypervisor-1 does not answer"):
        wait(ledger(operation("waiting")), PENDING, within_s=0.01)


def test_a_value_that_the_client_does_not_know_passes_through() -> None:
    newer = Operation.from_dict(operation("hovering"))
    assert (newer.state, newer.to_dict()["state"]) == ("hovering", "hovering")
    assert Family("ipv4") is Family.IPV4
