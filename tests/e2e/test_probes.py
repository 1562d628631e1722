"""Health checks in a whole cloud: its edge asks guests of every mode, and no packet goes to a wrong tenant."""

from __future__ import annotations

import time
from ipaddress import ip_address

from godwit_client.placement.models import Mode

from cloud.agents import ask
from cloud.site import LocalSite
from cloud.tour.customer import Customer, hosts
from services.netagent.wire import ProbeTarget

PATIENCE_S = 20.0  # until a guest has booted


def astray(site: LocalSite) -> list[int]:
    """Packets to a wrong tenant, so far, by hypervisor."""
    observed = [ask(site.plan, node, lambda client: client.observed()) for node in site.nodes("hypervisor")]
    return [each.packets["dropped_not_its_address"] for each in observed]


def test_the_edge_probes_guests_whatever_the_mode_of_their_ports(
    site: LocalSite, customer: Customer, project: str
) -> None:
    before = astray(site)  # other stories lead packets astray by intent
    nat = customer.create(f"nat-{project}", Mode.NAT, [customer.reserve("public")])
    hostnat = customer.create(f"hostnat-{project}", Mode.NAT, [customer.reserve("public")])
    hostnat = customer.changed(customer.convert(hostnat))
    both = [customer.reserve("public"), customer.reserve("public-v6")]
    routed = customer.create(f"routed-{project}", Mode.ROUTED, both)
    routed = customer.changed(customer.move(routed))
    addresses = [a.host.partition("/")[0] for one in (nat, hostnat, routed) for a in one.port.addresses]
    assert {host for one in (nat, hostnat, routed) for host in hosts(one, 4)} | set(hosts(routed, 6)) < set(addresses)
    targets = [ProbeTarget(address=ip_address(address), size=1500) for address in addresses]

    deadline = time.monotonic() + PATIENCE_S
    silent = addresses
    while silent and time.monotonic() < deadline:
        found = ask(site.plan, "edge", lambda client: client.probe(targets, count=5, interval_s=0.02, timeout_s=1.0))
        silent = [str(result.address) for result in found if result.received < result.sent]

    assert silent == []
    assert astray(site) == before
    assert set(ask(site.plan, "edge", lambda client: client.observed()).reverse_path.values()) == {"off"}
