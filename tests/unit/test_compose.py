"""docker-compose.yml against the plan it stands for, and against the rules that its containers keep."""

from __future__ import annotations

import re
import runpy
import stat
import tomllib
from ipaddress import IPv4Address, IPv4Network, IPv6Address, ip_network
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from cloud import processes
from cloud.baseline import machines
from cloud.compose import layout, secrets
from cloud.compose.layout import GUESTS, INTERNET, PLAN
from cloud.plan import METRICS_PORT
from common.errors import NotFound

FILE = Path(__file__).parents[2] / "docker-compose.yml"
RUNTIME = FILE.parent / "deploy/compose/runtime.py"
TEXT = FILE.read_text()
COMPOSE: dict[str, Any] = YAML(typ="safe").load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
NODES = [node.name for node in PLAN.nodes]
MACHINES = [*NODES, INTERNET, GUESTS]
KERNEL = {*MACHINES, layout.PREFLIGHT}  # those that touch it
LINKS = [link for node in PLAN.nodes for link in node.links]


def asked_for(place: str) -> dict[str, dict[str, str]]:
    """The addresses a container asks for, by network."""
    networks = SERVICES[place]["networks"]
    return networks if isinstance(networks, dict) else {}


def test_the_containers_are_those_of_the_local_cloud() -> None:
    stores = {processes.DATABASE, processes.BROKER}
    assert set(SERVICES) == {*MACHINES, *processes.CONTROL, *stores, *layout.ONE_SHOTS}


@pytest.mark.parametrize("place", [*NODES, INTERNET])
def test_a_machine_finds_every_link_of_the_plan_by_its_address(place: str) -> None:
    given = {IPv4Address(ends["ipv4_address"]) for ends in asked_for(place).values()}
    assert given == set(layout.links(place))
    machine = next(each for each in machines(PLAN) if each.namespace == PLAN.namespace(place))
    configured = {line.split()[4] for line in machine.commands if line.startswith("address replace")}
    assert configured - {"lo", "vx0"} == set(layout.links(place).values())


def test_both_ends_of_a_link_are_on_one_network_that_nobody_else_is_on() -> None:
    ends = {(str(link.address4.ip), str(link.address6.ip)): link for link in (*LINKS, PLAN.uplink)}
    edge = {(str(link.edge4.ip), str(link.edge6.ip)): link for link in (*LINKS, PLAN.uplink)}
    members: dict[str, list[tuple[str, str]]] = {}
    for place in MACHINES:
        for network, given in asked_for(place).items() if place != GUESTS else ():
            if network != "management":
                members.setdefault(network, []).append((given["ipv4_address"], given["ipv6_address"]))
    assert len(members) == len(ends)
    for network, (one, other) in members.items():
        assert (edge.get(one) or edge[other]) == (ends.get(one) or ends[other]), network
        configuration = COMPOSE["networks"][network]["ipam"]["config"]
        subnets = [ip_network(each["subnet"]) for each in configuration]
        for addresses in (one, other):
            assert IPv4Address(addresses[0]) in subnets[0]
            assert IPv6Address(addresses[1]) in subnets[1]
        engine = configuration[0].get("gateway", str(subnets[0][1]))
        assert engine not in {one[0], other[0]}


def test_links_keep_their_length_beside_the_engines_address() -> None:
    assert all(link.address4.network.prefixlen == 31 for link in LINKS)  # what an edge can hold apart
    assert len({ip_network(f"{link.edge4.ip}/29", strict=False) for link in LINKS}) == len(LINKS)


def test_no_two_networks_share_an_address() -> None:
    subnets = [
        ip_network(each["subnet"]) for network in COMPOSE["networks"].values() for each in network["ipam"]["config"]
    ]
    pairs = [(one, other) for one, other in combinations(subnets, 2) if one.version == other.version]
    assert [pair for pair in pairs if pair[0].overlaps(pair[1])] == []


def test_who_speaks_to_agents_has_its_address_among_the_controllers() -> None:
    (management,) = COMPOSE["networks"]["management"]["ipam"]["config"]
    zone = PLAN.zones[0]
    assert IPv4Network(management["subnet"]) == zone.management
    assert IPv4Network(management["ip_range"]) == zone.controllers
    assert not [node.name for node in PLAN.nodes if node.management in zone.controllers]
    assert all("management" in SERVICES[each]["networks"] for each in ("placement", "placement-poller", "worker"))


def test_only_published_ports_leave_the_host_and_only_for_itself() -> None:
    assert {name for name, service in SERVICES.items() if "ports" in service} == {"ipam", "placement"}
    assert all(port.startswith("127.0.0.1:") for name in layout.PORTS for port in SERVICES[name]["ports"])
    assert COMPOSE["networks"]["management"]["internal"]
    assert COMPOSE["networks"]["control"]["internal"]


def test_control_processes_tell_their_metrics_on_internal_networks_alone() -> None:
    for name in processes.METRICS:
        environment = SERVICES[name]["environment"]
        (address,) = [value for variable, value in environment.items() if variable.endswith("_METRICS")]
        inside = {network for network in SERVICES[name]["networks"] if COMPOSE["networks"][network].get("internal")}
        if inside != set(SERVICES[name]["networks"]):  # by a name that it has on an internal one alone
            aliases = SERVICES[name]["networks"]["control"]["aliases"]
            assert address == f"tcp:{aliases[0]}:{METRICS_PORT}"
        else:
            assert address == f"tcp:0.0.0.0:{METRICS_PORT}"


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_has_no_more_rights_than_it_says(name: str) -> None:
    service = SERVICES[name]
    assert "privileged" not in service
    assert service["cap_drop"] == ["ALL"]
    assert service["read_only"] is True
    assert "no-new-privileges:true" in service["security_opt"]
    assert not [volume for volume in service.get("volumes", ()) if "docker.sock" in volume]
    assert name in KERNEL or "cap_add" not in service
    assert name in KERNEL or service.get("user") == "999:999" or service["image"].startswith("godwit/service:")


def test_every_right_has_its_reason_beside_it() -> None:
    rights = re.findall(r"^ +- ([A-Z_]{4,})(.*)$", TEXT, re.MULTILINE)
    assert {right for right, reason in rights if "#" not in reason} <= {"SETGID"}  # told with SETUID
    assert {right for right, _ in rights} == {right for name in KERNEL for right in SERVICES[name]["cap_add"]}


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_comes_back_unless_it_runs_once(name: str) -> None:
    assert SERVICES[name]["restart"] == ("no" if name in layout.ONE_SHOTS else "unless-stopped")
    assert SERVICES[name].get("init") or name in layout.ONE_SHOTS  # or a signal from within would not end it
    tag = re.sub(r"^\$\{[A-Z_]+:-(.*)\}$", r"\1", SERVICES[name]["image"]).rpartition(":")[2]
    assert tag not in {"latest", ""}


@pytest.mark.parametrize("name", sorted(set(SERVICES) - {layout.PREFLIGHT}))
def test_nothing_starts_before_preflight_is_done(name: str) -> None:
    seen, todo = set(), {name}
    while todo:
        each = todo.pop()
        seen.add(each)
        todo |= set(SERVICES[each].get("depends_on", ())) - seen
    assert layout.PREFLIGHT in seen


# --- secrets ---------------------------------------------------------------------------------------------------------


def test_every_secret_is_made_and_handed_to_somebody(tmp_path: Path) -> None:
    assert secrets.missing(tmp_path) == secrets.files()
    secrets.ensure(tmp_path)
    assert secrets.missing(tmp_path) == []
    prefix = "./deploy/compose/secrets/"
    declared = {name: secret["file"].removeprefix(prefix) for name, secret in COMPOSE["secrets"].items()}
    assert sorted(declared.values()) == sorted(secrets.files())
    used = {
        secret["source"] if isinstance(secret, dict) else secret
        for service in SERVICES.values()
        for secret in service.get("secrets", ())
    }
    assert used == set(declared)


def test_secrets_that_are_there_stay(tmp_path: Path) -> None:
    secrets.ensure(tmp_path)
    before = {name: (tmp_path / name).read_bytes() for name in secrets.files()}
    (tmp_path / "edge.key").unlink()
    assert secrets.missing(tmp_path) == ["edge.key"]
    secrets.ensure(tmp_path)
    after = {name: (tmp_path / name).read_bytes() for name in secrets.files()}
    assert {name for name in before if before[name] != after[name]} == {"edge.key", "edge.crt"}


def test_the_keys_of_the_authorities_are_never_handed_out(tmp_path: Path) -> None:
    secrets.ensure(tmp_path)
    assert not [name for name in secrets.files() if name.endswith("ca.key")]
    for name in ("controllers-ca.key", "nodes-ca.key"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700


def test_each_service_gets_its_own_role_and_the_brokers_password(tmp_path: Path) -> None:
    secrets.ensure(tmp_path)
    urls = {name: (tmp_path / f"godwit_{name}_database_url").read_text() for name in secrets.SERVICES}
    assert all(f"//{name}:" in url for name, url in urls.items())
    assert len(set(urls.values())) == 2
    password = (tmp_path / "redis_password").read_text()
    assert all(password in (tmp_path / f"godwit_{name}_broker_url").read_text() for name in secrets.SERVICES)


def test_a_place_that_is_not_there_is_told() -> None:
    with pytest.raises(NotFound, match="hypervisor-9"):
        layout.links("hypervisor-9")


def test_images_hold_what_running_takes_and_nothing_of_what_developing_does() -> None:
    lock = (FILE.parent / "requirements.lock").read_text()
    found = set(re.findall(r"(?m)^([a-z0-9-]+)[=\[]", runpy.run_path(str(RUNTIME))["runtime"](lock)))
    asked = tomllib.loads((FILE.parent / "pyproject.toml").read_text())
    needed = {re.split(r"[^\w-]", name)[0] for name in asked["project"]["dependencies"]}
    tools = {re.split(r"[^\w-]", name)[0] for name in asked["dependency-groups"]["dev"]}
    assert needed <= found
    assert {"kombu", "pydantic-core", "starlette"} <= found  # what those need
    assert not tools & found
