"""The newest revisions come while services of the version before serve requests, and these do not notice."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest

from cloud.state import free_ports
from common.migrate import ROOT
from tests.functional import postgres
from tests.functional.tokens import Issuer

BEFORE = "07e77b4"
"""The last commit that knows neither ipam's 0003 nor placement's 0008."""
WITHIN_S = 60.0
STALL_S = 10.0  # of a request, on a machine that is busy: a migration that does not give way holds it up without end
NODE = "5f0a7d1e-0d5b-4c8e-9a61-2b1f6d1f7a10"
HYPERVISOR = {
    "name": "hypervisor-1",
    "zone": "zone-a",
    "role": "hypervisor",
    "agent_url": "https://127.0.0.1:1",
    "endpoint": "172.31.0.1",
    "private_prefix": "10.1.0.0/24",
    "legacy_prefix": "2001:db8:1::/48",
    "inventories": [{"resource_class": "VCPU", "total": 4}],
}


def eventually(holds: Callable[[], bool], what: str) -> None:
    """Poll until it holds. Fails with `what` when it does not in time."""
    ends = time.monotonic() + WITHIN_S
    while not holds():
        assert time.monotonic() < ends, f"not within {WITHIN_S:.0f} s: {what}"
        time.sleep(0.01)


@dataclass
class Load:
    """Requests one after the other, until `stop`: what came of them, and how long the slowest took."""

    work: Callable[[], list[httpx.Response]]
    statuses: list[int] = field(default_factory=list)
    slowest_s: float = 0.0
    _stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        while not self._stop.is_set():
            for answered in self.work():
                self.statuses.append(answered.status_code)
                self.slowest_s = max(self.slowest_s, answered.elapsed.total_seconds())

    def more(self, count: int) -> None:
        """Until so many more were answered."""
        wanted = len(self.statuses) + count
        eventually(lambda: len(self.statuses) >= wanted, f"{wanted} requests are answered")

    @contextmanager
    def going_on(self) -> Iterator[None]:
        thread = threading.Thread(target=self.run)
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join()


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source of the version before."""
    folder = tmp_path_factory.mktemp("before")
    git = ["git", "-c", "safe.directory=*", "-C", str(ROOT.parent), "archive", BEFORE]
    archive = subprocess.run(git, capture_output=True, check=True).stdout
    subprocess.run(["tar", "-x", "-C", str(folder)], input=archive, check=True)
    return folder


@contextmanager
def served(source: Path, module: str, settings: Mapping[str, str], url: str) -> Iterator[None]:
    """A service from another tree, in a process of its own."""
    environment = {**os.environ, **settings, "PYTHONPATH": str(source)}
    with subprocess.Popen([sys.executable, "-m", module], cwd=source, env=environment) as process:
        try:
            eventually(lambda: answers(url), f"{module} answers")
            yield
        finally:
            process.terminate()


def answers(url: str) -> bool:
    try:
        httpx.get(url)
    except httpx.TransportError:
        return False
    return True


def migrating(source: Path, service: str, url: str) -> subprocess.Popen[bytes]:
    """The migrations of a tree, as an operator runs them."""
    environment = {**os.environ, "PYTHONPATH": str(source), f"GODWIT_{service.upper()}_DATABASE_URL": url}
    return subprocess.Popen([sys.executable, "-m", "migrations", service], cwd=source, env=environment)


def test_the_version_before_serves_on_while_the_newest_revisions_come(
    postgres_server: postgres.Server, issuer: Issuer, before: Path
) -> None:
    """Somebody reads the table that changes for longer than a migration waits, and it gives way."""
    with ExitStack() as stack:
        urls, at = {}, {}
        for service, port in zip(postgres.SERVICES, free_ports(2), strict=True):
            name = stack.enter_context(postgres_server.database())
            urls[service], at[service] = postgres_server.url(name), f"http://127.0.0.1:{port}"
            assert migrating(before, service, urls[service]).wait() == 0
        for service in postgres.SERVICES:
            prefix = f"GODWIT_{service.upper()}_"
            settings = {
                "DATABASE_URL": urls[service],
                "BROKER_URL": "memory://",
                "ISSUER_KEYS": str(issuer.public_keys),
                "LISTEN": at[service].replace("http://", "tcp:"),
                "IPAM_URL": at["ipam"],
                **dict.fromkeys(("SIGNING_KEY", "CERTIFICATE", "CERTIFICATE_KEY", "NODE_CA"), str(issuer.private_key)),
            }
            named = {prefix + key: value for key, value in settings.items()}
            stack.enter_context(served(before, f"services.{service}.app", named, at[service]))
        loads = [Load(ledger_work(at["ipam"], issuer)), Load(controller_work(at["placement"], issuer))]
        for load in loads:
            stack.enter_context(load.going_on())
            load.more(20)
        readers = [stack.enter_context(reader(url)) for url in urls.values()]
        upgrades = [migrating(ROOT.parent, service, url) for service, url in urls.items()]
        for url in urls.values():
            eventually(lambda url=url: waits(url), "the migration meets the reader")  # type: ignore[misc]
        for load in loads:
            load.more(60)
        assert [process.poll() for process in upgrades] == [None, None]
        for connection in readers:
            connection.rollback()
        assert [process.wait(60) for process in upgrades] == [0, 0]
        columns = [has_column(url) for url in urls.values()]
        for load in loads:
            load.more(40)

    assert columns == [True, True]
    for load in loads:
        assert {status // 100 for status in load.statuses} == {2}, sorted(set(load.statuses))
        assert load.slowest_s < STALL_S


@contextmanager
def reader(url: str) -> Iterator[psycopg.Connection[Any]]:
    """Somebody in the midst of reading the operations."""
    with psycopg.connect(url.replace("+psycopg", "")) as connection:
        connection.execute("SELECT count(*) FROM operation")
        yield connection


def waits(url: str) -> bool:
    """Whether a migration waits for a lock now."""
    with psycopg.connect(url.replace("+psycopg", "")) as connection:
        waiting = "SELECT query FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        return any("ALTER TABLE" in query for (query,) in connection.execute(waiting))


def has_column(url: str) -> bool:
    with psycopg.connect(url.replace("+psycopg", "")) as connection:
        columns = connection.execute(
            "SELECT column_name FROM information_schema.columns WHERE table_name = 'operation'"
        )
        return ("request_id",) in columns.fetchall()


def ledger_work(url: str, issuer: Issuer) -> Callable[[], list[httpx.Response]]:
    """Reserve an address, attach it, look at the operation, and take the target away again."""
    member = client(f"{url}/ipam/v1", issuer.token("rita", "red", "member"))
    service = client(f"{url}/ipam/v1", issuer.token("placement", "", "service", kinds=("instance",)))
    operator = client(f"{url}/ipam/v1", issuer.token("olga", "cloud", "operator"))
    zone = {"region": "region-1", "accepts_regional": False}
    service.put("/zones/zone-a", json=zone).raise_for_status()
    body = {"name": "public", "zone": "zone-a", "family": "ipv4", "quarantine_seconds": 0}
    pool = operator.post("/pools", json=body).raise_for_status().json()["id"]
    operator.post(f"/pools/{pool}/prefixes", json={"cidr": "198.18.0.0/24"}).raise_for_status()

    def work() -> list[httpx.Response]:
        target = {"kind": "instance", "id": str(uuid4())}
        path = f"/targets/instance/{target['id']}"
        put = {"project": "red", "zone": "zone-a", "name": "web", "limit_ipv4": 5, "limit_ipv6": 5}
        answered = [
            service.put(path, json=put),
            member.post("/flexible-ips", json={"zone": "zone-a", "family": "ipv4"}),
        ]
        fip = f"/flexible-ips/{answered[-1].json()['id']}"
        answered.append(member.post(f"{fip}:attach", json={"target": target}))
        answered.append(member.get(f"/operations/{answered[-1].json()['id']}"))
        return [*answered, service.delete(path), member.delete(fip)]

    return work


def controller_work(url: str, issuer: Issuer) -> Callable[[], list[httpx.Response]]:
    """Drain a node, look at the operation, and let it take instances again."""
    operator = client(f"{url}/placement/v1", issuer.token("olga", "cloud", "operator", audience=["placement"]))
    operator.put("/zones/zone-a", json={"region": "region-1", "stack": "dual"}).raise_for_status()
    operator.put(f"/nodes/{NODE}", json=HYPERVISOR).raise_for_status()

    def work() -> list[httpx.Response]:
        drain = operator.post(f"/nodes/{NODE}:drain", json={})
        return [
            drain,
            operator.get(f"/operations/{drain.json()['id']}"),
            operator.get("/operations"),
            operator.post(f"/nodes/{NODE}:undrain", json={}),
        ]

    return work


def client(url: str, token: str) -> httpx.Client:
    return httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=30)
