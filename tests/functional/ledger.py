"""The real ledger, in-process, as the stories use it: its application, its callers, its bells."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import httpx
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import select

from common.db import Database
from services.ipam import app, wire
from services.ipam.client import IpamClient
from services.ipam.model import Base
from services.ipam.settings import Settings
from tests.functional.documented import hold_to_document
from tests.functional.tokens import Issuer

V1 = "/ipam/v1"


@dataclass
class Api:
    """The ledger's API as one caller uses it. Answers are returned as they come; `ok` insists on success."""

    http: TestClient
    token: str
    project: str

    def request(self, method: str, path: str, **kwargs: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.token}", **kwargs.pop("headers", {})}
        answer: httpx.Response = self.http.request(method, V1 + path, headers=headers, **kwargs)
        return answer

    def get(self, path: str, **params: Any) -> Any:
        return ok(self.request("GET", path, params=params))

    def post(self, path: str, body: Any = None, **kwargs: Any) -> httpx.Response:
        return self.request("POST", path, json={} if body is None else body, **kwargs)

    def put(self, path: str, body: Any, **kwargs: Any) -> httpx.Response:
        return self.request("PUT", path, json=body, **kwargs)

    def patch(self, path: str, body: Any, **kwargs: Any) -> httpx.Response:
        return self.request("PATCH", path, json=body, **kwargs)

    def delete(self, path: str, **kwargs: Any) -> httpx.Response:
        return self.request("DELETE", path, **kwargs)

    # --- what stories do most ----------------------------------------------------------------------------------------

    def reserve(self, zone: str = "zone-a", family: str = "ipv4", **more: Any) -> Any:
        return ok(self.post("/flexible-ips", {"zone": zone, "family": family, **more}))

    def fip(self, fip_id: str) -> Any:
        return self.get(f"/flexible-ips/{fip_id}")

    def attach(self, fip: Any, target: dict[str, str]) -> Any:
        return ok(self.post(f"/flexible-ips/{fip['id']}:attach", {"target": target}))

    def operation(self, operation: Any) -> Any:
        return self.get(f"/operations/{operation['id']}")


def ok(answer: httpx.Response) -> Any:
    assert answer.is_success, answer.text
    return answer.json()


def problem(answer: httpx.Response) -> tuple[int, str]:
    """Status and code of a refusal, which must be a problem with a sentence."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    body = answer.json()
    assert body["status"] == answer.status_code
    assert body["detail"]
    assert body["request_id"]
    return answer.status_code, body["code"]


@dataclass
class Ledger:
    """A running ledger with two projects' members, an operator and placement's service token."""

    app: FastAPI
    http: TestClient
    issuer: Issuer
    database_url: str
    bells: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)

    def api(self, subject: str, project: str, *roles: str, kinds: tuple[str, ...] = ()) -> Api:
        return Api(self.http, self.issuer.token(subject, project, *roles, kinds=kinds), project)

    @property
    def red(self) -> Api:
        return self.api("rita", "red", "member")

    @property
    def blue(self) -> Api:
        return self.api("bob", "blue", "member")

    @property
    def operator(self) -> Api:
        return self.api("olga", "cloud", "operator")

    @property
    def service(self) -> Api:
        return self.api("placement", "", "service", kinds=("instance",))

    def client(self) -> IpamClient:
        """placement's own client, on this application."""
        token = self.issuer.token("placement", "", "service", kinds=("instance",))
        client = IpamClient("http://ipam", lambda: token)
        client.close()
        client._http = self.http
        return client

    # --- what stories start from -------------------------------------------------------------------------------------

    def zone(self, name: str = "zone-a", region: str = "region-1") -> None:
        ok(self.service.put(f"/zones/{name}", {"region": region}))

    def pool(self, name: str, *prefixes: str, zone: str = "zone-a", **more: Any) -> Any:
        family = "ipv6" if any(":" in prefix for prefix in prefixes) else "ipv4"
        body = {"name": name, "zone": zone, "family": family, **more}
        pool = ok(self.operator.post("/pools", body))
        for prefix in prefixes:
            ok(self.operator.post(f"/pools/{pool['id']}/prefixes", {"cidr": prefix}))
        return self.operator.get(f"/pools/{pool['id']}")

    def supplied(self) -> None:
        """Two zones with IPv4 and IPv6 each."""
        for zone, number in (("zone-a", 16), ("zone-b", 17)):
            self.zone(zone)
            self.pool(f"{zone}-v4", f"198.18.{number}.0/24", zone=zone)
            self.pool(f"{zone}-v6", f"2001:db8:{number}::/48", zone=zone)

    def target(self, project: str, zone: str = "zone-a", **limits: int) -> dict[str, str]:
        target_id = str(uuid4())
        body = {"project": project, "zone": zone, "name": "web", **limits}
        ok(self.service.put(f"/targets/instance/{target_id}", body))
        return {"kind": "instance", "id": target_id}

    def address_set(self, target: dict[str, str]) -> Any:
        return self.service.get(f"/address-sets/{target['kind']}/{target['id']}")

    def realize(self, target: dict[str, str], revision: int | None = None) -> Any:
        """As placement reports it when the nodes have read it back: by default all there is."""
        if revision is None:
            revision = self.address_set(target)["revision"]
        body = {"realized_revision": revision}
        return ok(self.service.put(f"/address-sets/{target['kind']}/{target['id']}/realized", body))

    def rung(self) -> list[tuple[str, tuple[str, ...]]]:
        """The bells since this was last asked."""
        rung = list(self.bells)
        self.bells.clear()
        return rung

    def contents(self) -> dict[str, list[Any]]:
        """Every row there is: what must be the same after a refusal."""
        database = Database(self.database_url, lambda *_: None)
        with database.transaction() as tx:
            rows = {
                table.name: sorted(repr(row) for row in tx.session.execute(select(*table.columns)))
                for table in Base.metadata.sorted_tables
            }
        database.close()
        return rows

    def refuses(self, ask: Callable[[], httpx.Response], status: int, code: str) -> str:
        """Insist that `ask` is answered by this problem and changes nothing; the sentence it is told."""
        before = self.contents()
        self.bells.clear()
        answer = ask()
        assert problem(answer) == (status, code), answer.text
        assert self.contents() == before
        assert self.bells == []
        return str(answer.json()["detail"])


@contextmanager
def running(database_url: str, issuer: Issuer) -> Iterator[Ledger]:
    """A ledger on an empty, migrated database."""
    bells: list[tuple[str, tuple[str, ...]]] = []
    settings = Settings(database_url=database_url, broker_url="memory://", issuer_keys=issuer.public_keys)
    application = app.create(settings, ring=lambda name, names: bells.append((name, names)))
    with TestClient(application, raise_server_exceptions=False) as http:
        hold_to_document(http, application)
        yield Ledger(application, http, issuer, database_url, bells)


def ref(target: dict[str, str]) -> wire.TargetRef:
    return wire.TargetRef(kind=target["kind"], id=UUID(target["id"]))
