"""The doctor finds nothing on a sound cloud, and what was broken on one that is not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import psycopg
import pytest
from godwit_client import answer
from godwit_client.ipam import models as ipam
from godwit_client.ipam.api.pools import add_prefix, create_pool, delete_prefix

from cloud import operations, processes
from cloud.control import Supervision
from cloud.site import LocalSite
from cloud.tour.customer import Customer
from tests.e2e.conftest import Godwit, eventually


@contextmanager
def stopped(site: LocalSite, *names: str) -> Iterator[None]:
    supervision = Supervision(site.paths)
    supervision.stop(names)
    try:
        yield
    finally:
        supervision.start(names)


@contextmanager
def silent(site: LocalSite, node: str) -> Iterator[None]:
    site.cut(node, ["management"])
    try:
        yield
    finally:
        site.heal(node)


@contextmanager
def older(site: LocalSite) -> Iterator[None]:
    """The ledger's database, as an older version left it."""
    url = operations.database_urls(site.name)["ipam"].replace("+psycopg", "")
    with psycopg.connect(url, autocommit=True) as database:
        (head,) = database.execute("SELECT version_num FROM alembic_version").fetchone() or ("",)
        database.execute("UPDATE alembic_version SET version_num = '0001'")
        try:
            yield
        finally:
            database.execute("UPDATE alembic_version SET version_num = %s", (head,))


@contextmanager
def used_up(site: LocalSite, project: str) -> Iterator[None]:
    """A pool of one address, which is given."""
    customer = Customer.of(site, project)
    body = ipam.PoolCreate(name=f"small-{project}", zone=site.zone, family=ipam.Family.IPV4, quarantine_seconds=0)
    pool = answer(create_pool.sync_detailed(client=customer.api.ipam, body=body))
    cidr = ipam.PrefixCreate(cidr="198.19.255.1/32")
    prefix = answer(add_prefix.sync_detailed(pool.id, client=customer.api.ipam, body=cidr))
    fip = customer.reserve(pool.name)
    try:
        yield
    finally:
        customer.release(fip)
        answer(delete_prefix.sync_detailed(pool.id, prefix.id, client=customer.api.ipam))


def found(site: LocalSite, godwit: Godwit) -> tuple[int, list[tuple[str, str]]]:
    said = godwit("--cloud", site.name, "doctor", "--json")
    return said.code, [(one["code"], one["where"]) for one in json.loads(said.out)["findings"]]


def test_faults_are_found_each_and_a_sound_cloud_has_none(site: LocalSite, project: str, godwit: Godwit) -> None:
    eventually(lambda: found(site, godwit) == (0, []), f"the cloud is sound: {found(site, godwit)}")
    assert godwit("--cloud", site.name, "doctor").out.startswith("sound: ")

    for faults in (
        {
            ("queue.unattended", "nodes"): stopped(site, "worker"),
            ("queue.unattended", "conversion"): stopped(site, "migration-worker"),
            ("node.silent", "hypervisor-3"): silent(site, "hypervisor-3"),
            ("database.revision", "ipam"): older(site),
            ("pool.exhausted", f"{site.zone}/small-{project}"): used_up(site, project),
        },
        {("broker.silent", "placement"): stopped(site, processes.BROKER)},
        {("api.silent", "ipam"): stopped(site, "ipam")},
    ):
        with ExitStack() as broken:
            for fault in faults.values():
                broken.enter_context(fault)
            eventually(lambda f=faults: f.keys() <= set(found(site, godwit)[1]), f"{', '.join(map(str, faults))}")  # type: ignore[misc]
            said = godwit("--cloud", site.name, "doctor")
            assert said.code == 1
            assert all(where in said.out for _, where in faults)


@pytest.fixture(autouse=True)
def whole_again(site: LocalSite) -> Iterator[None]:
    """Whoever comes next finds the cloud as it was."""
    yield
    operations.up(site.name)
