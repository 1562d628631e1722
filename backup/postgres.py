"""PostgreSQL's own tools, run on a database by its URL. No password is ever seen in a list of processes."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from sqlalchemy import make_url

from common.db import DatabaseUnavailable
from common.errors import DomainError, Unavailable

READY = "godwit: all of it is in"


class ToolMissing(Unavailable):
    """PostgreSQL's client programs are not installed."""

    code = "backup.tool_missing"


class ToolFailed(DomainError):
    """PostgreSQL refused; nothing was changed."""

    code = "backup.postgres"


@dataclass(frozen=True, slots=True)
class Database:
    """One service's database, by the URL that its service has."""

    service: str
    parameters: Mapping[str, Any]

    @classmethod
    def of(cls, service: str, url: str) -> Self:
        plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
        return cls(service, conninfo_to_dict(plain))

    @contextmanager
    def connection(self) -> Iterator[psycopg.Connection[Any]]:
        """Raises DatabaseUnavailable."""
        try:
            connection = psycopg.connect(**{"connect_timeout": 5, **self.parameters})
        except psycopg.OperationalError as error:
            raise DatabaseUnavailable(f"the database of {self.service} does not answer: {_last(str(error))}") from error
        with connection:
            yield connection

    def _command(self, tool: str, *arguments: str) -> tuple[list[str], dict[str, str]]:
        shown = {name: value for name, value in self.parameters.items() if name != "password"}
        secret = self.parameters.get("password")
        environment = {**os.environ, **({"PGPASSWORD": str(secret)} if secret else {})}
        return [_tool(tool), "--no-password", f"--dbname={make_conninfo('', **shown)}", *arguments], environment

    def dump(self, path: Path, snapshot: str, schema: str) -> None:
        """Everything in `schema` as that snapshot sees it. Raises ToolFailed, ToolMissing."""
        argv, environment = self._command(
            "pg_dump",
            "--format=custom",
            "--no-owner",
            "--no-privileges",
            f"--snapshot={snapshot}",
            f"--schema={schema}",
            f"--file={path}",
        )
        done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise ToolFailed(f"{self.service} could not be dumped: {_last(done.stderr)}")

    def change(self) -> Change:
        return Change(self.service, *self._command("psql", "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1"))


class Change:
    """One transaction by psql, which alone reads what pg_restore writes. Left without `commit`, it changed nothing."""

    def __init__(self, service: str, argv: list[str], environment: dict[str, str]) -> None:
        self._service = service
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115  as long as the process
        self._psql = subprocess.Popen(
            argv, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._complaints
        )

    def __enter__(self) -> Self:
        self.run("SET lock_timeout = '5s'; BEGIN;")
        return self

    def __exit__(self, *_error: object) -> None:
        if self._psql.poll() is None:
            self._psql.kill()
        self._psql.communicate()
        self._complaints.close()

    def run(self, sql: str) -> None:
        self._write(f"{sql}\n".encode())

    def restore(self, dump: Path) -> None:
        """Make again what `dump` holds, but for the schema itself. Raises ToolFailed, ToolMissing."""
        tool = _tool("pg_restore")
        listed = subprocess.run([tool, "--list", str(dump)], capture_output=True, text=True, check=False)
        wanted = [line for line in listed.stdout.splitlines() if not re.match(r"\d+; \d+ \d+ SCHEMA ", line)]
        with tempfile.NamedTemporaryFile("w", suffix=".list") as contents:
            contents.write("\n".join(wanted))
            contents.flush()
            argv = [tool, "--no-owner", "--no-privileges", f"--use-list={contents.name}", "--file=-", str(dump)]
            with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as reader:
                assert reader.stdout is not None and reader.stderr is not None  # noqa: S101, PT018  pipes, as asked for
                while chunk := reader.stdout.read(1 << 16):
                    self._write(chunk)
                complaint = reader.stderr.read().decode()
        if reader.returncode:
            raise ToolFailed(f"the dump of {self._service} cannot be read: {_last(complaint)}")

    def finish(self) -> None:
        """Returns when all that was written is done, and only the commit is missing. Raises ToolFailed."""
        self.run(f"\\echo {READY}")
        assert self._psql.stdout is not None  # noqa: S101
        for line in self._psql.stdout:
            if line.decode().strip() == READY:
                return
        raise self._failed()

    def commit(self) -> None:
        """Raises ToolFailed."""
        self.run("COMMIT;")
        self._psql.communicate()
        if self._psql.returncode:
            raise self._failed()

    def _write(self, raw: bytes) -> None:
        assert self._psql.stdin is not None  # noqa: S101
        try:
            self._psql.stdin.write(raw)
            self._psql.stdin.flush()
        except BrokenPipeError:
            raise self._failed() from None

    def _failed(self) -> ToolFailed:
        self._psql.wait()
        self._complaints.seek(0)
        lines = [line for line in self._complaints.read().decode().splitlines() if "ERROR" in line or "FATAL" in line]
        return ToolFailed(f"{self._service} could not be restored: {lines[0] if lines else 'psql ended'}")


def _tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise ToolMissing(
            f"{name} is not installed; it comes with PostgreSQL's client (apt-get install postgresql-client)"
        )
    return found


def _last(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "no reason given"
