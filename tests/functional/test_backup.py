"""A backup is put back, whole or not at all; nodes that know more than it are asked, and say so."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from backup import archive, work
from common.errors import DomainError
from tests.functional import postgres
from tests.functional.controller import Controller, running
from tests.functional.ledger import Ledger, ok


@dataclass
class Installation:
    """A controller and its ledger, with the URLs of their databases."""

    cloud: Controller
    urls: dict[str, str]

    def backup(self, folder: Path) -> Path:
        return work.take(self.urls, folder / "backup.tar", lambda _: None)[0]

    def stop(self) -> None:
        """No connection is left open, as when the services are stopped."""
        for service in (self.cloud.app, self.cloud.ledger.app):
            service.state.wiring.database.close()
        self.cloud.database.close()

    def restore(self, file: Path, *, replace: bool = True) -> work.Restored:
        self.stop()
        restored = work.restore(self.urls, file, lambda _: None, replace=replace)
        self.cloud.reconciler = self.cloud.another()
        return restored

    def meetings(self) -> dict[str, Any]:
        """By node, what it was found to hold beside what it should."""
        named = {node["id"]: node["name"] for node in self.cloud.get("/nodes")["items"]}
        found = self.cloud.get("/operations")["items"]
        return {named[o["resource"].rsplit("/", 1)[1]]: o["result"] for o in found if o["kind"] == "node.meet"}


@pytest.fixture
def installation(placement_database: str, ipam_database: str, ledger: Ledger) -> Iterator[Installation]:
    with running(placement_database, ledger) as cloud:
        yield Installation(cloud, {"ipam": ipam_database, "placement": placement_database})


def test_what_was_asked_for_before_the_backup_holds_again_and_wins_over_what_came_after(
    installation: Installation, tmp_path: Path
) -> None:
    cloud = installation.cloud
    web = cloud.instance("web", allocate=["ipv4", "ipv6"])
    still = cloud.instance("still", allocate=["ipv4"])
    moved, untouched = (one["port"]["addresses"][0]["prefix"] for one in (web, still))
    file = installation.backup(tmp_path)
    for to in ("hypervisor-3", "hypervisor-2", "hypervisor-3"):
        cloud.act(web, "move", {"to": to})
    assert cloud.holders(moved) == {"hypervisor-3": 4}
    late = cloud.instance("late", allocate=["ipv4"], who="operator", hypervisor="hypervisor-2")["port"]["addresses"][0][
        "prefix"
    ]

    restored = installation.restore(file)

    cloud.sweep()
    cloud.sweep()
    assert cloud.show(web)["hypervisor"] == web["hypervisor"]
    assert cloud.holders(moved) == {web["hypervisor"]: 5}
    assert cloud.holders(untouched) == {still["hypervisor"]: 1}
    assert cloud.holders(late) == {}
    assert {agent.executor.realized().epoch for agent in cloud.fleet.agents.values()} == {restored.epoch}
    assert {fip["state"] for fip in cloud.ledger.red.get("/flexible-ips")["items"]} == {"attached"}
    meetings = installation.meetings()
    assert f"address {late}" in meetings["hypervisor-2"]["unknown"]
    assert f"address {moved}" in meetings["hypervisor-3"]["elsewhere"]
    again = cloud.instance("again", allocate=["ipv4"], who="operator", hypervisor="hypervisor-1")["port"]["addresses"][
        0
    ]["prefix"]
    assert again == late
    assert cloud.holders(again) == {"hypervisor-1": 2}  # above what hypervisor-2 announced it with


def test_what_nobody_asked_to_remove_stays_until_an_operator_says_so(
    installation: Installation, tmp_path: Path
) -> None:
    cloud = installation.cloud
    cloud.instance("web", allocate=["ipv4"], who="operator", hypervisor="hypervisor-1")
    file = installation.backup(tmp_path)
    later = [
        cloud.instance(f"late-{n}", allocate=["ipv4", "ipv6"], who="operator", hypervisor="hypervisor-2")
        for n in range(3)
    ]
    prefixes = [address["prefix"] for one in later for address in one["port"]["addresses"]]

    installation.restore(file)

    cloud.sweep()
    cloud.sweep()
    assert {prefix: cloud.holders(prefix) for prefix in prefixes} == {p: {"hypervisor-2": 1} for p in prefixes}
    (node,) = cloud.get("/nodes", name="hypervisor-2")["items"]
    (refusal,) = node["failures"]
    assert refusal.startswith("placement.withdraw_budget: budget of a node")
    digest = refusal.split("hypervisor-2 ")[1].split("`")[0]
    ok(cloud.post(f"/nodes/{node['id']}:approve", {"digest": digest}, who="operator"))
    cloud.settle()
    assert {prefix: cloud.holders(prefix) for prefix in prefixes} == {prefix: {} for prefix in prefixes}
    assert not cloud.get(f"/nodes/{node['id']}")["failures"]


def test_a_backup_goes_into_empty_databases_and_a_second_restore_is_above_the_first(
    installation: Installation, postgres_server: postgres.Server, tmp_path: Path
) -> None:
    cloud = installation.cloud
    cloud.instance("web", allocate=["ipv4"])
    file = installation.backup(tmp_path)
    before = cloud.contents()
    with postgres_server.database() as one, postgres_server.database() as other:
        for name in (one, other):
            postgres_server.execute("CREATE EXTENSION btree_gist", name)
        empty = {"ipam": postgres_server.url(one), "placement": postgres_server.url(other)}
        first = work.restore(empty, file, lambda _: None, replace=False)
        second = work.restore(empty, file, lambda _: None, replace=True)
    assert 1 < first.epoch < second.epoch
    assert cloud.contents() == before


Parts = dict[str, bytes]


def rewritten(file: Path, change: Callable[[dict[str, Any], Parts], object]) -> None:
    """The backup with another manifest, or other parts."""
    with tarfile.open(file) as tar:
        parts = {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]
    manifest = json.loads(parts[archive.MANIFEST])
    change(manifest, parts)
    with tarfile.open(file, "w") as tar:
        for name, content in {**parts, archive.MANIFEST: json.dumps(manifest).encode()}.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


def half_a_ledger(manifest: dict[str, Any], parts: Parts) -> None:
    """A dump that was cut before it was put into the backup."""
    parts["ipam.dump"] = parts["ipam.dump"][: len(parts["ipam.dump"]) // 2]
    manifest["databases"]["ipam"]["sha256"] = hashlib.sha256(parts["ipam.dump"]).hexdigest()


def of_ipam(**fields: str) -> Callable[[Path], None]:
    """Another word of the ledger in the manifest."""
    return lambda file: rewritten(file, lambda manifest, _: manifest["databases"]["ipam"].update(fields))


def swapped(file: Path) -> None:
    """Whole, but with the content of one byte changed."""
    raw = bytearray(file.read_bytes())
    raw[len(raw) // 2] ^= 1
    file.write_bytes(raw)


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "cut": (lambda file: file.write_bytes(file.read_bytes()[:-30_000]), "backup.damaged"),
    "empty": (lambda file: file.write_bytes(b""), "backup.damaged"),
    "altered": (swapped, "backup.damaged"),
    "gone": (Path.unlink, "backup.unreadable"),
    "of another format": (lambda file: rewritten(file, lambda m, _: m.update(format=2)), "backup.version"),
    "newer": (of_ipam(head="9999"), "backup.version"),
    "of one database": (lambda file: rewritten(file, lambda m, _: m["databases"].pop("ipam")), "backup.damaged"),
    "not ours": (of_ipam(file="../x"), "backup.damaged"),
    "of another schema": (of_ipam(schema_name="other"), "restore.schema"),
}


def test_a_backup_that_is_not_whole_changes_nothing(installation: Installation, tmp_path: Path) -> None:
    whole = installation.backup(tmp_path)
    before = installation.cloud.contents()
    refused = {}
    for number, (damage, (harm, _)) in enumerate(DAMAGES.items()):
        file = Path(shutil.copy(whole, tmp_path / f"{number}.tar"))
        harm(file)
        with pytest.raises(DomainError) as refusal:
            installation.restore(file)
        refused[damage] = refusal.value.code

    assert refused == {damage: code for damage, (_, code) in DAMAGES.items()}
    assert installation.cloud.contents() == before


def test_a_restore_that_fails_half_way_changes_neither_database(installation: Installation, tmp_path: Path) -> None:
    """The ledger's comes second: by then the controller's is all in, but for its commit."""
    file = installation.backup(tmp_path)
    before = installation.cloud.contents()
    rewritten(file, half_a_ledger)

    with pytest.raises(DomainError) as refusal:
        installation.restore(file)

    assert refusal.value.code == "backup.postgres"
    assert installation.cloud.contents() == before


def test_no_database_is_replaced_that_is_in_use_or_not_empty(installation: Installation, tmp_path: Path) -> None:
    file = installation.backup(tmp_path)
    before = installation.cloud.contents()
    for replace, code in ((True, "restore.services_run"), (False, "restore.services_run")):
        with pytest.raises(DomainError) as refusal:
            work.restore(installation.urls, file, lambda _: None, replace=replace)
        assert refusal.value.code == code
    with pytest.raises(DomainError) as refusal:
        installation.restore(file, replace=False)
    assert refusal.value.code == "restore.not_empty"
    with pytest.raises(DomainError) as refusal:
        installation.backup(tmp_path)
    assert refusal.value.code == "backup.exists"
    assert installation.cloud.contents() == before
