"""One local cloud for all stories, its customers, and the command as a person runs it."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from unittest import mock
from uuid import uuid4

import pytest

from cli.main import run
from cloud import operations
from cloud.site import LocalSite, Site
from cloud.tour.customer import Customer

CLOUD = os.environ.get("GODWIT_TEST_CLOUD")
"""A running cloud to use instead of starting one."""


@pytest.fixture(scope="session")
def site() -> Iterator[LocalSite]:
    """A running cloud with three hypervisors and two gateways."""
    if os.geteuid() != 0:
        pytest.skip("needs root: starts a local cloud")
    if CLOUD:
        yield LocalSite(CLOUD)
        return
    name = f"e2e{os.getpid() % 100000}"
    try:
        operations.up(name)
        yield LocalSite(name)
    finally:
        operations.down(name)


@pytest.fixture
def project(site: LocalSite) -> Iterator[str]:
    """A project of the test's own; what it made is gone afterwards."""
    name = f"p{uuid4().hex[:8]}"
    yield name
    Customer.of(site, name).clean(name)


@pytest.fixture
def customer(site: LocalSite, project: str) -> Customer:
    return Customer.of(site, project)


@dataclass(frozen=True)
class Said:
    """What one run of the command answered."""

    code: int
    out: str
    err: str


Godwit = Callable[..., Said]


def commands(site: LocalSite, project: str) -> Godwit:
    """A function that runs `godwit ARGUMENT…` on the cloud, in `project` or another."""

    def command(*arguments: str, project: str = project, role: str = "operator") -> Said:
        environment = {
            "GODWIT_IPAM_URL": site.apis["ipam"],
            "GODWIT_PLACEMENT_URL": site.apis["placement"],
            "GODWIT_ZONE": site.zone,
            "GODWIT_TOKEN": site.token(project=project, roles=[role]),
        }
        out, err = io.StringIO(), io.StringIO()
        with mock.patch.dict(os.environ, environment), redirect_stdout(out), redirect_stderr(err):
            code = run(arguments)
        return Said(code, out.getvalue(), err.getvalue())

    return command


@pytest.fixture
def godwit(site: LocalSite, project: str) -> Godwit:
    return commands(site, project)


def eventually(holds: Callable[[], object], what: str, within_s: float = 30.0) -> None:
    """Poll until it holds. Fails with `what` when it does not in time."""
    ends = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < ends, f"not within {within_s:.0f} s: {what}"


def answers(site: Site, address: str, place: str = "internet") -> bool:
    """Whether `address` answers a ping from there within a second."""
    return site.exec(place, ["ping", "-n", "-q", "-c", "1", "-W", "1", address]).returncode == 0


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    return tmp_path


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The pages speak of a cloud of one zone, and refusals leave others behind: what is documented is tried first."""
    items.sort(key=lambda item: item.path.name != "test_documented.py")
