"""The embedded database: the distribution's PostgreSQL with a data directory, a socket and roles of its own."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cloud.namespaces import CommandFailed, run
from cloud.plan import Paths

USER = "postgres"
DATABASE = "godwit"
SERVICES = ("ipam", "placement")  # a schema and a role each; nothing granted across
VERSIONS = Path("/usr/lib/postgresql")

_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0777",  # who may do what is pg_hba's business
    "max_connections": "200",
    "shared_buffers": "64MB",
    "wal_level": "replica",
    "max_wal_size": "256MB",
    "checkpoint_timeout": "15min",
    "log_min_messages": "warning",
    "cluster_name": "godwit",
}


@dataclass(frozen=True, slots=True)
class Postgres:
    """One server; its files are under `data`, its socket is in `socket_directory`."""

    data: Path
    socket_directory: Path

    @classmethod
    def of(cls, paths: Paths) -> Postgres:
        return cls(paths.data / "postgres", paths.postgres_socket)

    @property
    def cluster(self) -> Path:
        return self.data / "cluster"

    def initialise(self) -> None:
        """Make the data directory unless it is there. One that was interrupted half-way is made anew."""
        for directory in (self.data, self.socket_directory):
            directory.mkdir(parents=True, exist_ok=True)
            shutil.chown(directory, USER, USER)
        if not (self.cluster / "PG_VERSION").exists():
            fresh = self.data / "fresh"
            shutil.rmtree(fresh, ignore_errors=True)
            options = ["--auth=peer", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync", "--no-instructions"]
            run([*_as_postgres(), str(newest() / "initdb"), *options, "-D", str(fresh)])
            fresh.rename(self.cluster)
        hba = self.cluster / "pg_hba.conf"
        hba.write_text(f"local all {USER} peer\nlocal {DATABASE} {','.join(SERVICES)} scram-sha-256\n")
        shutil.chown(hba, USER, USER)

    def command(self) -> list[str]:
        """How to start it, in the foreground. It ends cleanly, by SIGINT, with whoever started it."""
        version = (self.cluster / "PG_VERSION").read_text().strip()
        settings = {**_SETTINGS, "unix_socket_directories": str(self.socket_directory)}
        options = [word for key, value in settings.items() for word in ("-c", f"{key}={value}")]
        binary = VERSIONS / version / "bin" / "postgres"
        return [*_as_postgres("--pdeathsig", "INT"), str(binary), "-D", str(self.cluster), *options]

    def answers(self) -> bool:
        argv = [str(newest() / "pg_isready"), "-q", "-h", str(self.socket_directory)]
        return subprocess.run(argv, capture_output=True, check=False).returncode == 0

    def provision(self, passwords: dict[str, str]) -> None:
        """The database, and each service's role and schema. Repeating it changes nothing but the passwords."""
        if DATABASE not in self._sql("postgres", "SELECT datname FROM pg_database").split():
            self._sql("postgres", f"CREATE DATABASE {DATABASE}")
        self._sql(DATABASE, provisioning(passwords))

    def url(self, service: str, password: str) -> str:
        return f"postgresql+psycopg://{service}:{password}@/{DATABASE}?host={self.socket_directory}"

    def _sql(self, database: str, text: str) -> str:
        argv = [
            str(newest() / "psql"),
            "-X",
            "-q",
            "-A",
            "-t",
            "-v",
            "ON_ERROR_STOP=1",
            "-h",
            str(self.socket_directory),
        ]
        return run([*_as_postgres(), *argv, "-d", database, "-f", "-"], text)


def newest() -> Path:
    """The directory of the newest installed server's programs. Raises CommandFailed when there is none."""
    found = [binary.parent for binary in VERSIONS.glob("*/bin/initdb") if binary.parts[-3].isdigit()]
    if not found:
        raise CommandFailed("PostgreSQL is not installed; install it with: sh deploy/host/install.sh")
    return max(found, key=lambda directory: int(directory.parts[-2]))


def _as_postgres(*options: str) -> list[str]:
    """It refuses to run as root."""
    return ["setpriv", "--reuid", USER, "--regid", USER, "--init-groups", *options, "--"]


def provisioning(passwords: Mapping[str, str]) -> str:
    """SQL for each service's role and schema in a database that is there. Repeating it changes but the passwords."""
    lines = [
        f"REVOKE ALL ON DATABASE {DATABASE} FROM PUBLIC;",
        "REVOKE ALL ON SCHEMA public FROM PUBLIC;",
        "CREATE EXTENSION IF NOT EXISTS btree_gist;",
        "GRANT USAGE ON SCHEMA public TO PUBLIC;",  # the extension's operator classes
    ]
    for service in SERVICES:
        lines += [
            f"DO $$ BEGIN CREATE ROLE {service} LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$;",
            f"ALTER ROLE {service} PASSWORD '{passwords[service]}';",
            f"GRANT CONNECT ON DATABASE {DATABASE} TO {service};",
            f"CREATE SCHEMA IF NOT EXISTS {service} AUTHORIZATION {service};",
            f"ALTER ROLE {service} IN DATABASE {DATABASE} SET search_path = {service}, public;",
        ]
    return "SET client_min_messages = warning;\n" + "\n".join(lines) + "\n"
