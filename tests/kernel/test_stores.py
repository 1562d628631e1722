"""The embedded database and broker: started as they are in a cloud, with roles that see nothing of each other."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import ProgrammingError

from cloud.plan import Paths
from cloud.postgres import Postgres
from cloud.redis import Redis
from common.tasks import celery

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: becomes the users postgres and redis")

PASSWORDS = {"ipam": "one", "placement": "two"}


def eventually(condition: Callable[[], bool], within_s: float = 30) -> None:
    ends = time.monotonic() + within_s
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < ends
        pause.wait(0.02)


@pytest.fixture(scope="module")
def paths(worker_id: str) -> Iterator[Paths]:
    root = Path(f"/run/godwit-test-stores-{worker_id}")  # not under /tmp/pytest: the users must be able to enter
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(mode=0o755)
    yield Paths(root / "run", root / "data", root / "log")
    shutil.rmtree(root)


@pytest.fixture(scope="module")
def database(paths: Paths) -> Iterator[Postgres]:
    server = Postgres.of(paths)
    server.initialise()
    process = subprocess.Popen(server.command(), stderr=subprocess.DEVNULL)
    try:
        eventually(server.answers)
        server.provision(PASSWORDS)
        yield server
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def broker(paths: Paths) -> Iterator[Redis]:
    server = Redis.of(paths, "secret")
    server.initialise()
    process = subprocess.Popen(server.command(), stdout=subprocess.DEVNULL)
    try:
        eventually(server.answers)
        yield server
    finally:
        process.kill()
        process.wait()


def test_a_service_owns_its_schema_and_sees_no_other(database: Postgres) -> None:
    ipam, placement = (create_engine(database.url(service, PASSWORDS[service])) for service in ("ipam", "placement"))
    with ipam.begin() as connection:
        connection.execute(text("CREATE TABLE secret (id int)"))
        assert connection.execute(text("SELECT current_schema()")).scalar() == "ipam"
    with placement.connect() as connection, pytest.raises(ProgrammingError, match="permission denied for schema ipam"):
        connection.execute(text("SELECT * FROM ipam.secret"))
    with placement.connect() as connection, pytest.raises(ProgrammingError, match="permission denied"):
        connection.execute(text("CREATE TABLE public.mine (id int)"))


def test_a_wrong_password_is_refused_and_nothing_listens_on_tcp(database: Postgres) -> None:
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(database.url("ipam", "wrong").replace("+psycopg", ""))
    with create_engine(database.url("ipam", "one")).connect() as connection:
        assert connection.execute(text("SHOW listen_addresses")).scalar() == ""


def test_provisioning_again_changes_nothing_but_the_passwords(database: Postgres) -> None:
    database.initialise()
    database.provision({**PASSWORDS, "placement": "three"})
    with create_engine(database.url("placement", "three")).connect() as connection:
        assert connection.execute(text("SELECT 1")).scalar() == 1
    database.provision(PASSWORDS)


def test_an_interrupted_initialisation_is_made_anew(paths: Paths) -> None:
    server = Postgres(paths.data / "other", paths.run / "other")
    (server.data / "fresh").mkdir(parents=True)
    (server.data / "fresh" / "PG_VERSION").write_text("15")
    server.initialise()
    assert (server.cluster / "global").is_dir()


def test_the_broker_s_url_is_one_celery_can_use(broker: Redis) -> None:
    app = celery("test", broker.url)
    with app.connection_for_write() as connection:
        connection.ensure_connection(max_retries=0)
        assert connection.default_channel.client.ping()


def test_the_broker_asks_for_its_password(broker: Redis) -> None:
    wrong = Redis(broker.data, broker.socket, "wrong")
    assert not wrong.answers()
