"""Both clients as their users have them: the first programs of their READMEs, and ten calls from TypeScript on Node."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from godwit_client import Refused, answer, connect, etag
from godwit_client.ipam.api.flexible_ips import reserve_flexible_ip, update_flexible_ip
from godwit_client.ipam.api.zones import list_zones
from godwit_client.ipam.models import Family, FlexibleIPReserve, FlexibleIPUpdate

from clients import node as typescript
from cloud.site import LocalSite
from cloud.tour.customer import Customer
from tests.e2e.conftest import Godwit

CLIENTS = Path(typescript.HERE).parent


@pytest.fixture
def environment(site: LocalSite, godwit: Godwit) -> dict[str, str]:
    """What `eval "$(godwit token env)"` sets, for the test's project."""
    said = godwit("token", "env")
    assert said.code == 0, said.err
    found = dict(re.findall(r"^export (\w+)=(\S+)$", said.out, re.MULTILINE))
    return {**os.environ, **found, "GODWIT_ZONE": site.zone}


def program(client: str, language: str) -> str:
    """The first program of a client's README."""
    found = re.search(rf"```{language}\n(.*?)```", (CLIENTS / client / "README.md").read_text(), re.DOTALL)
    assert found is not None
    assert len([line for line in found[1].splitlines() if line and "import" not in line]) <= 10
    return found[1]


def run(environment: dict[str, str], directory: Path, *command: str | Path) -> str:
    done = subprocess.run(
        command, cwd=directory, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_first_program_in_python(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "first.py").write_text(program("python", "python"))
    assert "is attached to first-py" in run(environment, tmp_path, sys.executable, "first.py")


def test_the_first_program_in_typescript(environment: dict[str, str], tmp_path: Path) -> None:
    typescript.build()
    (tmp_path / "node_modules").mkdir()
    (tmp_path / "node_modules" / "godwit-client").symlink_to(typescript.HERE)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    (tmp_path / "first.ts").write_text(program("typescript", "ts"))
    assert "is attached to first-ts" in run(environment, tmp_path, typescript.NODE, "first.ts")


def test_ten_calls_from_typescript(environment: dict[str, str]) -> None:
    told = run(environment, typescript.HERE, typescript.NODE, "examples/ten-calls.ts").splitlines()
    assert [line.partition(":")[0] for line in told] == [
        *("reserve", "attach", "wait", "409", "412", "move", "watch", "detach", "list", "release", "401", "422")
    ]


def test_what_is_refused_is_typed(site: LocalSite, customer: Customer) -> None:
    """A wrong token, a stale ETag, a value that no service knows: code, words and request id."""
    fip = customer.reserve("public")
    renamed = FlexibleIPUpdate(name="new")
    answer(update_flexible_ip.sync_detailed(fip.id, client=customer.api.ipam, body=renamed, if_match=etag(fip)))
    stranger = connect(site.apis["ipam"], site.apis["placement"], "nobody's")
    unknown = FlexibleIPReserve(zone=site.zone, family=Family("ipv5"))
    for ask, status, code in (
        (lambda: list_zones.sync_detailed(client=stranger.ipam), 401, "auth.token_refused"),
        (
            lambda: update_flexible_ip.sync_detailed(
                fip.id, client=customer.api.ipam, body=renamed, if_match=etag(fip)
            ),
            412,
            "revision.stale",
        ),
        (lambda: reserve_flexible_ip.sync_detailed(client=customer.api.ipam, body=unknown), 422, "request.invalid"),
    ):
        with pytest.raises(Refused) as refusal:
            answer(ask())
        assert (refusal.value.status, refusal.value.code) == (status, code)
        assert refusal.value.message
        assert refusal.value.request_id
