"""What stands against converting a port: of the fabric an unknown blocks, of the guest it warns."""

from __future__ import annotations

from dataclasses import replace

import pytest

from services.placement.conversion.prechecks import Effect, Host, PartOf, Seen, blockers, findings

HOST = Host("hypervisor-1", hostnat=True, stale=None, room=100)
WELL = Seen(
    host=HOST,
    public_ipv4=1,
    public_ipv6=1,
    reverse_path={"edge": {"pub1": "off", "pub2": "loose"}},
    private_peers=(),
)


def test_nothing_is_found_where_nothing_is_wrong() -> None:
    assert findings(WELL) == []
    assert findings(replace(WELL, host=None)) == [], "an archived port has no host to ask"


@pytest.mark.parametrize(
    ("seen", "code", "named"),
    [
        (replace(WELL, host=replace(HOST, hostnat=False)), "precheck.hostnat", "hypervisor-1"),
        (replace(WELL, host=replace(HOST, stale="hypervisor-1 does not answer")), "precheck.stale", "hypervisor-1"),
        (replace(WELL, host=replace(HOST, room=0)), "precheck.capacity", "hypervisor-1"),
        (replace(WELL, host=replace(HOST, room=None)), "precheck.capacity", "hypervisor-1"),
        (replace(WELL, public_ipv4=2), "precheck.addresses", "2 public"),
        (replace(WELL, reverse_path={"edge": {"pub1": "strict"}}), "precheck.reverse_path", "pub1"),
        (replace(WELL, reverse_path={"edge": None}), "precheck.reverse_path", "edge"),
    ],
)
def test_the_fabrics_checks_block_and_say_what_mends_them(seen: Seen, code: str, named: str) -> None:
    found = findings(seen)
    assert [(one.part_of, one.effect, one.reason.code) for one in found] == [(PartOf.FABRIC, Effect.BLOCKS, code)]
    assert named in found[0].reason.text
    assert found[0].reason.remedy
    assert blockers(found) == (found[0].reason,)


@pytest.mark.parametrize(
    ("seen", "code"),
    [
        (replace(WELL, private_peers=None), "precheck.peers"),
        (replace(WELL, private_peers=["10.1.0.9"]), "precheck.peers"),
        (replace(WELL, public_ipv4=0), "precheck.no_ipv4"),
    ],
)
def test_the_guests_checks_warn_alone(seen: Seen, code: str) -> None:
    found = findings(seen)
    assert [(one.part_of, one.effect, one.reason.code) for one in found] == [(PartOf.GUEST, Effect.WARNS, code)]
    assert blockers(found) == ()
