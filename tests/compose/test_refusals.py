"""What a cloud in containers lacks is named in one line, and nothing of it is left half-started."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from cloud.compose import engine, operations, secrets
from cloud.compose.layout import port_variable
from cloud.operations import silent
from tests.compose.conftest import left_behind

pytestmark = pytest.mark.timeout(900)  # the first one makes images
RIGHTS = ("SYS_ADMIN", "DAC_READ_SEARCH")


@pytest.fixture(scope="module", autouse=True)
def images() -> None:
    engine.compose("build")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    secrets.ensure(tmp_path)
    return tmp_path


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that somebody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def preflight(folder: Path, rights: tuple[str, ...] = RIGHTS, ipam: int = 0) -> tuple[int, str]:
    """Exit code of a preflight on its own, and what it said."""
    options = ["--network=host", "--read-only", "--tmpfs=/tmp", "--cap-drop=ALL", "--security-opt=apparmor:unconfined"]
    options += [f"--cap-add={right}" for right in rights]
    options += [f"--env={port_variable('ipam')}={ipam}", f"--env={port_variable('placement')}=0"]
    argv = ["docker", "run", "--rm", *options, f"--volume={folder}:/secrets:ro", "godwit/node:0.1.0"]
    done = subprocess.run([*argv, "cloud.compose.preflight"], capture_output=True, text=True, check=False)
    return done.returncode, done.stderr


def test_nothing_is_missing(folder: Path) -> None:
    assert preflight(folder)[0] == 0


def test_missing_secrets_are_named_with_the_way_to_make_them(folder: Path) -> None:
    (folder / "redis_password").unlink()
    (folder / "edge.key").write_text("")
    code, said = preflight(folder)
    lines = [line for line in said.splitlines() if line.startswith("preflight: ")]
    assert code == 1
    assert len(lines) == 1
    assert "redis_password, edge.key" in lines[0]
    assert "make compose-secrets" in lines[0]


def test_a_kernel_that_allows_no_bpf_is_named(folder: Path) -> None:
    code, said = preflight(folder, rights=("DAC_READ_SEARCH",))
    assert code == 1
    assert "no BPF file system can be mounted" in said


def test_a_taken_port_is_named_and_nothing_stays_started(taken: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GODWIT_IPAM_PORT", str(taken))
    with pytest.raises(operations.NotPossible, match=f"port {taken} of 127.0.0.1 is taken"):
        operations.up(silent)
    assert engine.containers() == []
    operations.down(silent)
    assert left_behind() == []
