"""A real PostgreSQL for the tests: one server for a test session, one cloned database for a test."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import psycopg

from common.migrate import ROOT, upgrade

SERVICES = ("ipam", "placement")
"""Whose migrations a test's database has; a service without any yet is left out."""


def binaries() -> Path:
    """The directory of the newest PostgreSQL installed. Raises FileNotFoundError."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    if found:
        return found[-1].parent
    on_path = shutil.which("initdb")
    if on_path is None:
        raise FileNotFoundError("PostgreSQL's server is not installed; `.ci/run` installs it")
    return Path(on_path).resolve().parent


def _as_postgres(*command: str | Path) -> list[str]:
    """PostgreSQL refuses to run as root: run it as its own user then."""
    words = [str(word) for word in command]
    if os.geteuid() != 0:
        return words
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "--", *words]


@dataclass(frozen=True, slots=True)
class Server:
    """A running server on a unix socket in `socket`; `user` is its superuser."""

    socket: Path
    user: str

    def url(self, database: str) -> str:
        return f"postgresql+psycopg://{self.user}@/{database}?host={self.socket}"

    def execute(self, statement: str, database: str = "postgres") -> None:
        with psycopg.connect(host=str(self.socket), user=self.user, dbname=database, autocommit=True) as connection:
            connection.execute(statement.encode())

    @contextmanager
    def database(self, template: str = "template1") -> Iterator[str]:
        """A database of its own, dropped at the end; its name."""
        name = f"t{uuid4().hex[:16]}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
        try:
            yield name
        finally:
            self.execute(f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def server() -> Iterator[Server]:
    """Start a server in a temporary directory, on a unix socket, careless of power cuts; stop it at the end."""
    bin_ = binaries()
    home = Path(tempfile.mkdtemp(prefix="godwit-pg-"))
    if os.geteuid() == 0:
        shutil.chown(home, "postgres", "postgres")
    else:
        home.chmod(0o700)
    data = home / "data"
    init = _as_postgres(bin_ / "initdb", "-D", data, "-U", "postgres", "--auth=trust", "--no-sync", "-E", "UTF8")
    subprocess.run([*init, "--locale=C"], check=True, capture_output=True, cwd=home)
    options = {
        "listen_addresses": "''",
        "unix_socket_directories": f"'{home}'",
        "fsync": "off",
        "full_page_writes": "off",
        "synchronous_commit": "off",
        "max_connections": "300",
        "shared_buffers": "64MB",
    }
    with (data / "postgresql.conf").open("a") as conf:
        conf.writelines(f"{name} = {value}\n" for name, value in options.items())
    control = _as_postgres(bin_ / "pg_ctl", "-D", data, "-w")
    try:
        subprocess.run([*control, "-l", str(home / "log"), "start"], check=True, capture_output=True, cwd=home)
        yield Server(home, "postgres")
    finally:
        subprocess.run([*control, "-m", "immediate", "stop"], check=False, capture_output=True, cwd=home)
        shutil.rmtree(home, ignore_errors=True)


def migrated(postgres: Server, service: str) -> str:
    """A database with one service's migrations applied, to clone for each test; its name."""
    name = f"{service}_template"
    postgres.execute(f"CREATE DATABASE {name}")
    if any((ROOT / service / "versions").glob("*.py")):
        upgrade(service, postgres.url(name))
    return name
