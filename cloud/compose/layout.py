"""Where things are in the cloud in containers. Pure: the plan, paths, and the names of `docker-compose.yml`."""

from __future__ import annotations

from ipaddress import IPv4Address
from pathlib import Path

from cloud.plan import Paths, Plan, Role

NAME = "compose"
PLAN = Plan(NAME, bridged=True)

INTERNET = "internet"
GUESTS = "guests"
PREFLIGHT = "preflight"
ONE_SHOTS = (PREFLIGHT, "migrate", "register")

SECRETS = Path("/run/secrets")  # in a container
PATHS = Paths(run=Path("/run/godwit"), data=Path("/var/lib/godwit"), log=Path("/var/log"))  # in a node's container
GUEST_SOCKET = Path("/run/guests/guests.sock")  # on the volume that hypervisors share with `guests`
PROGRAMS = Path("/opt/godwit/bpf")  # compiled when the image was made
PYTHON = "/opt/godwit/bin/python"

MANAGEMENT_LINK = "mgmt0"
PORTS = {"ipam": 8101, "placement": 8102}  # in containers, and on the host's loopback unless set otherwise


def port_variable(service: str) -> str:
    """The environment variable that chooses the port on the host's loopback."""
    return f"GODWIT_{service.upper()}_PORT"


def links(place: str) -> dict[IPv4Address, str]:
    """The links of a node or of `internet`: the address by which the engine made each, and the plan's name for it.

    Raises NotFound.
    """
    zone = PLAN.zones[0]
    if place == INTERNET:
        return {zone.uplink.address4.ip: zone.uplink.name}
    node = PLAN.node(place)
    found = {node.management: MANAGEMENT_LINK}
    if node.role is Role.EDGE:
        ends = [zone.uplink, *(link for other in zone.nodes for link in other.links)]
        return found | {link.edge4.ip: link.edge_name for link in ends}
    return found | {link.address4.ip: link.name for link in node.links}
