"""What every test may ask for."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from tests.functional import postgres
from tests.functional.ledger import Ledger, running
from tests.functional.tokens import Issuer

NEED_ROOT = {"kernel", "e2e", "compose"}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """As root, a kernel or end-to-end test that skips has failed: there is nothing it could have lacked."""
    report = yield
    folder = item.path.relative_to(Path(__file__).parent).parts[0]
    if report.skipped and folder in NEED_ROOT and os.geteuid() == 0:
        report.outcome = "failed"
        report.longrepr = f"skipped as root: {report.longrepr[2] if isinstance(report.longrepr, tuple) else ''}"
    return report


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[postgres.Server]:
    """One PostgreSQL for the session (with pytest-xdist: for each worker)."""
    with postgres.server() as running:
        yield running


@pytest.fixture(scope="session")
def migrated(postgres_server: postgres.Server) -> dict[str, str]:
    """For each service, a database with its migrations applied: the template of the tests' own."""
    return {service: postgres.migrated(postgres_server, service) for service in postgres.SERVICES}


@pytest.fixture
def ipam_database(postgres_server: postgres.Server, migrated: dict[str, str]) -> Iterator[str]:
    """URL of an empty, migrated database of the ledger, for one test."""
    with postgres_server.database(migrated["ipam"]) as name:
        yield postgres_server.url(name)


@pytest.fixture
def placement_database(postgres_server: postgres.Server, migrated: dict[str, str]) -> Iterator[str]:
    """URL of an empty, migrated database of placement, for one test."""
    with postgres_server.database(migrated["placement"]) as name:
        yield postgres_server.url(name)


@pytest.fixture(scope="session")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Issuer:
    """Signs tokens that the services under test trust."""
    return Issuer.create(tmp_path_factory.mktemp("issuer"))


@pytest.fixture
def ledger(ipam_database: str, issuer: Issuer) -> Iterator[Ledger]:
    """The real ledger in-process on an empty database."""
    with running(ipam_database, issuer) as started:
        yield started


@pytest.fixture(scope="session")
def supplied_template(postgres_server: postgres.Server, migrated: dict[str, str], issuer: Issuer) -> Iterator[str]:
    """A ledger's database with zones and pools in it, made once and cloned for each test."""
    with postgres_server.database(migrated["ipam"]) as name:
        with running(postgres_server.url(name), issuer) as started:
            started.supplied()
        yield name


@pytest.fixture
def supplied(postgres_server: postgres.Server, supplied_template: str, issuer: Issuer) -> Iterator[Ledger]:
    """The ledger with two zones, `zone-a` and `zone-b`, and an IPv4 and an IPv6 pool in each."""
    with postgres_server.database(supplied_template) as name, running(postgres_server.url(name), issuer) as started:
        yield started
