"""What bad input gets, through the command: one line, a stable code, and nothing changed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from uuid import uuid4

import pytest
from godwit_client.placement.models import Mode

from cloud.site import LocalSite
from cloud.tour.customer import Customer
from tests.e2e.conftest import Godwit, commands

OTHER_ZONE = "refusal-zone"
EMPTY_ZONE = "refusal-nat-zone"


@dataclass(frozen=True)
class World:
    """Two projects: ours with an instance `web` and an attached and a free address; theirs with an instance."""

    godwit: Godwit
    project: str
    web: str
    attached: str
    free: str
    elsewhere: str  # a free address of ours in another zone
    theirs: str  # id of their instance

    def listed(self) -> list[str]:
        """Everything that a refused request must leave alone; of addresses and instances, our project's."""
        shared = [self.godwit(group, "list", "--json").out for group in ("pool", "zone", "flavor", "hypervisor")]
        ours = [self.godwit(group, "list", "--json", role="member").out for group in ("ip", "instance")]
        return [_settled(text) for text in (*shared, *ours)]


def _settled(text: str) -> str:
    """A list without what time alone changes."""
    rows = json.loads(text)
    for row in rows:
        for changing in ("seen_at", "updated_at", "generation", "applied_generation"):
            row.pop(changing, None)
    return json.dumps(rows)


@pytest.fixture(scope="module")
def world(site: LocalSite) -> Iterator[World]:
    project = f"p{uuid4().hex[:8]}"
    godwit = commands(site, project)
    customer, other = Customer.of(site, project), Customer.of(site, f"{project}-other")
    attached, free = customer.reserve("public"), customer.reserve("public")
    web = customer.create(f"web-{project}", Mode.ROUTED, [attached])
    theirs = other.create(f"theirs-{project}", Mode.ROUTED)
    assert godwit("zone", "set", OTHER_ZONE, "--region", "local", "--stack", "routed").code == 0
    assert godwit("zone", "set", EMPTY_ZONE, "--region", "local", "--stack", "nat").code == 0
    pool = f"pool-{project}"
    third, fourth = uuid4().bytes[:2]
    prefix = f"198.19.{third}.{fourth & 0xF8}/29"
    assert godwit("pool", "create", pool, "--zone", OTHER_ZONE, "--prefix", prefix).code == 0
    elsewhere = json.loads(godwit("ip", "reserve", "--zone", OTHER_ZONE, "--pool", pool, "--json").out)["address"]
    yield World(godwit, project, web.name, attached.address, free.address, elsewhere, str(theirs.id))
    customer.clean(project)
    other.clean(f"{project}-other")


NOBODY = "00000000-0000-4000-8000-000000000000"

CASES = {
    "overlapping prefixes": (("pool", "add-prefix", "public", "198.18.1.0/24"), "ipam.prefix.overlap"),
    "a prefix that is none": (("pool", "add-prefix", "public", "198.18.1.0/99"), "ipam.prefix.malformed"),
    "a prefix with host bits": (("pool", "add-prefix", "public", "198.19.1.1/24"), "ipam.prefix.malformed"),
    "an address outside its pool": (("ip", "reserve", "192.0.2.1", "--pool", "public"), "ipam.address.outside_pool"),
    "an address that is taken": (("ip", "reserve", "{attached}"), "ipam.address.taken"),
    "an address that is none": (("ip", "reserve", "198.18.0.999"), "ipam.address.malformed"),
    "a pool that does not exist": (("ip", "reserve", "--pool", "nope"), "ipam.pool.unknown"),
    "a zone that does not exist": (("ip", "reserve", "--zone", "nope"), "ipam.zone.unknown"),
    "an address nobody reserved": (("ip", "attach", "198.18.15.200", "{web}"), "ipam.flexible_ip.unknown"),
    "attaching to another project's instance": (("ip", "attach", "{free}", "{theirs}"), "ipam.target.unknown"),
    "attaching to no instance": (("ip", "attach", "{free}", "nobody"), "placement.instance.unknown"),
    "attaching to an unknown id": (("ip", "attach", "{free}", NOBODY), "placement.instance.unknown"),
    "attaching across zones": (("ip", "attach", "{elsewhere}", "{web}"), "ipam.target.zone_mismatch"),
    "moving what is attached to nothing": (("ip", "move", "{free}", "{web}"), "ipam.flexible_ip.not_attached"),
    "releasing what is attached": (("ip", "release", "{attached}"), "ipam.flexible_ip.attached"),
    "a hypervisor that does not exist": (
        ("instance", "create", "x", "--flavor", "small", "--hypervisor", "hypervisor-99"),
        "placement.node.unknown",
    ),
    "a gateway as hypervisor": (
        ("instance", "create", "x", "--flavor", "small", "--hypervisor", "gateway-1"),
        "placement.node.unknown",
    ),
    "a flavour that does not exist": (("instance", "create", "x", "--flavor", "nope"), "placement.flavor.unknown"),
    "a name that is taken": (("instance", "create", "{web}", "--flavor", "small"), "placement.instance.name_taken"),
    "a name that is a node's": (
        ("instance", "create", "edge", "--flavor", "small"),
        "placement.instance.name_reserved",
    ),
    "a name that is none": (("instance", "create", "Web_1", "--flavor", "small"), "request.invalid"),
    "starting what runs": (("instance", "start", "{web}"), "placement.instance.state"),
    "moving to where it is": (("instance", "move", "{web}", "--to", "{host}"), "placement.instance.same_hypervisor"),
    "converting a routed zone": (("zone", "convert", "plan", OTHER_ZONE), "placement.conversion.stack"),
    "converting a zone that has no node for it": (
        ("zone", "convert", "plan", EMPTY_ZONE),
        "placement.conversion.no_dual_node",
    ),
    "converting a zone that does not exist": (("zone", "convert", "plan", "nope"), "placement.zone.unknown"),
    "starting what was not planned": (("zone", "convert", "start", EMPTY_ZONE), "placement.conversion.unknown"),
    "converting what is routed": (("instance", "convert", "{web}"), "placement.conversion.mode"),
    "converting no instance": (("instance", "convert", NOBODY), "placement.instance.unknown"),
    "an operation that does not exist": (("operation", "show", f"ipam-{NOBODY}"), "ipam.operation.unknown"),
}


@pytest.mark.parametrize("what", CASES)
def test_it_is_one_line_with_a_code_and_nothing_has_changed(what: str, world: World) -> None:
    arguments, code = CASES[what]
    host = json.loads(world.godwit("instance", "show", world.web, "--json").out)["hypervisor"]
    names = {
        "web": world.web,
        "attached": world.attached,
        "free": world.free,
        "elsewhere": world.elsewhere,
        "theirs": world.theirs,
        "host": host,
    }
    before = world.listed()

    said = world.godwit(*(part.format(**names) for part in arguments))

    assert said.code == 1
    assert said.out == ""
    (line,) = said.err.splitlines()
    assert line.startswith("godwit: ")
    assert line.endswith(f"({code})")
    assert world.listed() == before


def test_more_addresses_than_a_target_takes(world: World) -> None:
    extra = [json.loads(world.godwit("ip", "reserve", "--pool", "public", "--json").out)["address"] for _ in range(5)]
    for address in extra[:4]:
        assert world.godwit("ip", "attach", address, world.web).code == 0
    said = world.godwit("ip", "attach", extra[4], world.web)
    assert said.code == 1
    assert said.err.rstrip().endswith("(ipam.target.limit)")
    assert json.loads(world.godwit("ip", "show", extra[4], "--json").out)["state"] == "reserved"
    for address in extra[:4]:
        assert world.godwit("ip", "detach", address).code == 0


def test_a_hypervisor_that_is_full(world: World) -> None:
    project = world.project
    flavor = f"huge-{project}"
    made = world.godwit("flavor", "create", flavor, "--vcpus", "1", "--memory-mb", "1", "--disk-gb", "4000")
    assert made.code == 0, made.err
    arguments = ("instance", "create", "--flavor", flavor, "--hypervisor", "hypervisor-1")
    assert world.godwit(*arguments, f"big-{project}").code == 0

    said = world.godwit(*arguments, f"bigger-{project}")

    assert said.code == 1
    assert said.err.rstrip().endswith("(placement.node.full)")
    assert f"bigger-{project}" not in world.godwit("instance", "list").out
    assert world.godwit("instance", "delete", f"big-{project}").code == 0
    assert world.godwit("flavor", "delete", flavor).code == 0


def test_a_plan_that_an_instance_has_outrun_is_not_started(world: World, site: LocalSite) -> None:
    late = f"late-{world.project}"
    assert world.godwit("zone", "convert", "plan", site.zone).code == 0
    assert world.godwit("instance", "create", late, "--flavor", "small", "--mode", "nat").code == 0
    try:
        said = world.godwit("zone", "convert", "start", site.zone)
        assert (said.code, said.out) == (1, "")
        assert late in said.err
        assert said.err.rstrip().endswith("(placement.conversion.plan_stale)")
        sealed = world.godwit("zone", "convert", "seal", site.zone, "--yes")
        assert sealed.err.rstrip().endswith("(placement.conversion.soak)")
        shown = json.loads(world.godwit("instance", "show", late, "--json").out)
        assert shown["port"]["mode"] == "nat"
    finally:
        assert world.godwit("instance", "delete", late).code == 0


def test_another_projects_instance_cannot_be_converted(world: World) -> None:
    said = world.godwit("instance", "convert", world.theirs, role="member")
    assert (said.code, said.out) == (1, "")
    assert said.err.rstrip().endswith("(placement.instance.unknown)")


@pytest.mark.parametrize("word", ["plan", "start", "pause", "resume", "watch"])
def test_only_an_operator_leads_a_zones_conversion(word: str, godwit: Godwit, site: LocalSite) -> None:
    said = godwit("zone", "convert", word, site.zone, role="member")
    assert (said.code, said.out) == (1, "")
    assert said.err.rstrip().endswith("(auth.role_missing)")


def test_a_reader_may_read_and_no_more(godwit: Godwit) -> None:
    assert godwit("ip", "list", role="reader").code == 0
    said = godwit("ip", "reserve", role="reader")
    assert said.code == 1
    assert said.err.rstrip().endswith("(auth.role_missing)")


def test_a_foreign_address_answers_like_one_that_does_not_exist(
    customer: Customer, project: str, godwit: Godwit
) -> None:
    fip = customer.reserve("public")
    foreign = godwit("ip", "show", str(fip.id), project=f"{project}-x", role="member")
    missing = godwit("ip", "show", NOBODY, project=f"{project}-x", role="member")
    assert foreign.code == missing.code == 1
    assert foreign.err.replace(str(fip.id), NOBODY) == missing.err
