"""What the doctor finds: nothing where all is well, and each fault by its code and no other."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from godwit_client.ipam import models as ipam
from godwit_client.placement import models as placement

from cli import doctor
from cli.doctor import Clock, Facts, findings

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
LONG_AGO = NOW - timedelta(hours=1)


def status(**more: Any) -> dict[str, Any]:
    return {
        "version": "1",
        "schema_is": "0003",
        "schema_wanted": "0003",
        "at": NOW,
        "broker": True,
        "oldest": [],
        **more,
    }


def ledger(*, free: int = 50, total: int = 100, **more: Any) -> ipam.LedgerStatus:
    pool = ipam.PoolSupply(pool="public", zone="zone-1", family=ipam.Family.IPV4, total=total, free=free)
    return ipam.LedgerStatus(**status(**more), pools=[pool])


def controller(
    *, waiting: int = 0, workers: int = 1, expires_at: datetime | None = NOW + timedelta(days=300), **more: Any
) -> placement.ControllerStatus:
    return placement.ControllerStatus(
        **status(**more),
        queues=[placement.QueueStatus(name="nodes", waiting=waiting, workers=workers)],
        certificates=[placement.CertificateStatus(name="controller", expires_at=expires_at)],
    )


def node(**more: Any) -> placement.Node:
    facts: dict[str, Any] = {
        "id": str(UUID(int=1)),
        "name": "hypervisor-1",
        "zone": "zone-1",
        "role": "hypervisor",
        "admin_state": "enabled",
        "condition": "up",
        "fabric": "up",
        "fence": None,
        "fenced": False,
        "operation": None,
        "agent_url": "https://172.30.0.21:8443",
        "endpoint": "172.31.21.2",
        "endpoint_ipv6": None,
        "neighbours": [],
        "private_prefix": None,
        "legacy_prefix": None,
        "inventories": [],
        "used": {},
        "traits": [],
        "instances": 0,
        "generation": 3,
        "applied_generation": 3,
        "failures": [],
        "seen_at": NOW.isoformat(),
        "revision": 1,
    }
    return placement.Node.from_dict({**facts, **more})


def operation(since: datetime) -> Any:
    waits = SimpleNamespace(code="node.unreachable", text="hypervisor-1 is silent", since=since, unblock="fence it")
    return SimpleNamespace(id="placement-1", kind="instance.move", waiting_for=waits)


def conversion(*codes: str, needs_operator: int = 0) -> Any:
    return SimpleNamespace(
        zone="zone-1",
        phase=placement.Phase.WAVES,
        paused=[SimpleNamespace(code=code, text="why", remedy="what") for code in codes],
        ports=SimpleNamespace(additional_properties={"needs_operator": needs_operator} if needs_operator else {}),
    )


def sound() -> Facts:
    clock = Clock(NOW, NOW - timedelta(milliseconds=5), NOW + timedelta(milliseconds=5))
    return Facts(
        version="1",
        now=NOW,
        ledger=ledger(),
        controller=controller(),
        clocks={"ipam": clock, "placement": clock},
        nodes=[node()],
        waiting=[operation(NOW - timedelta(seconds=5))],
        conversions=[conversion("conversion.through")],
    )


def test_of_a_sound_installation_nothing_is_found() -> None:
    assert findings(sound()) == []


def apart(seconds: float) -> dict[str, Clock]:
    said = NOW + timedelta(seconds=seconds)
    return {"ipam": Clock(said, NOW, NOW), "placement": Clock(NOW, NOW, NOW)}


move = {"kind": "instance.move", "age_s": 700.0}
FAULTS: dict[str, tuple[Callable[[Facts], Facts], str]] = {
    "an API is silent": (lambda f: replace(f, silent={"ipam": "refused"}, ledger=None), "api.silent"),
    "another version": (lambda f: replace(f, ledger=ledger(version="2")), "version.differs"),
    "a database is behind": (lambda f: replace(f, ledger=ledger(schema_is="0002")), "database.revision"),
    "no broker": (lambda f: replace(f, ledger=ledger(broker=False)), "broker.silent"),
    "a clock is ahead": (lambda f: replace(f, clocks=apart(3)), "clock.apart"),
    "a clock is behind": (lambda f: replace(f, clocks=apart(-3)), "clock.apart"),
    "an old intent": (
        lambda f: replace(f, controller=controller(oldest=[placement.Oldest.from_dict(move)])),
        "operation.overdue",
    ),
    "nobody listens": (lambda f: replace(f, controller=controller(workers=0)), "queue.unattended"),
    "a long queue": (lambda f: replace(f, controller=controller(waiting=1001)), "queue.long"),
    "a certificate that ends": (
        lambda f: replace(f, controller=controller(expires_at=NOW + timedelta(days=13))),
        "certificate.expires",
    ),
    "no certificate": (lambda f: replace(f, controller=controller(expires_at=None)), "certificate.unreadable"),
    "a pool that runs out": (lambda f: replace(f, ledger=ledger(free=4)), "pool.exhausted"),
    "a silent node": (lambda f: replace(f, nodes=[node(condition="unreachable")]), "node.silent"),
    "a fenced node": (lambda f: replace(f, nodes=[node(fenced=True, condition="unreachable")]), "node.fenced"),
    "a node without routes": (lambda f: replace(f, nodes=[node(fabric="unreachable")]), "node.no_routes"),
    "a node that stays behind": (
        lambda f: replace(f, nodes=[node(generation=4)], stuck=frozenset({"hypervisor-1"})),
        "node.behind",
    ),
    "a node that refuses": (lambda f: replace(f, nodes=[node(failures=["agent.removal_budget: 9"])]), "node.refuses"),
    "an operation that waits": (lambda f: replace(f, waiting=[operation(LONG_AGO)]), "operation.waits"),
    "a conversion in alarm": (
        lambda f: replace(f, conversions=[conversion("conversion.through", "conversion.failures")]),
        "conversion.paused",
    ),
    "a port for a person": (
        lambda f: replace(f, conversions=[conversion(needs_operator=2)]),
        "conversion.needs_operator",
    ),
    "a kernel without BPF": (lambda f: replace(f, host={"bpf": "not permitted"}), "host.kernel"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_found_and_no_other(fault: str) -> None:
    seed, code = FAULTS[fault]
    (found,) = findings(seed(sound()))
    assert found.code == code
    assert found.where and found.text and found.remedy  # noqa: PT018


def test_each_code_there_is_has_its_fault() -> None:
    codes = re.findall(r'Finding\(\s*"([a-z_.]+)"', Path(doctor.__file__).read_text())
    assert set(codes) == {code for _, code in FAULTS.values()}


def test_what_passes_by_itself_is_not_found() -> None:
    facts = replace(
        sound(), nodes=[node(generation=4)], controller=controller(waiting=1000), ledger=ledger(total=0, free=0)
    )
    zone = placement.Oldest.from_dict({"kind": "zone.convert", "age_s": 90_000.0})
    assert findings(facts) == []
    assert findings(replace(facts, controller=controller(oldest=[zone]))) == []
