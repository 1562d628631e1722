"""A backup is taken and put back while packets flow: whoever was left alone loses none."""

from __future__ import annotations

from pathlib import Path

from godwit_client.placement.models import Mode

from cloud.site import LocalSite
from cloud.tour.customer import Customer, hosts
from cloud.tour.watch import probing
from tests.e2e.conftest import Godwit, answers, eventually
from tests.e2e.test_faults import lost


def test_a_restore_takes_back_what_came_after_and_loses_no_packet_of_anybody_else(
    site: LocalSite, customer: Customer, project: str, godwit: Godwit, logs: Path
) -> None:
    nat, routed, six = (customer.reserve(pool) for pool in ("public", "public", "public-v6"))
    customer.create(f"nat-{project}", Mode.NAT, [nat])
    resident = customer.create(f"routed-{project}", Mode.ROUTED, [routed, six])
    mover = customer.create(f"mover-{project}", Mode.ROUTED, [customer.reserve("public")], "hypervisor-1")
    here = ("--cloud", site.name)
    file = str(logs / "backup.tar")

    with probing(site, logs, "restore", [nat.address, routed.address, *hosts(resident, 6)], sample_legs=False) as watch:
        assert godwit(*here, "backup", file).code == 0
        for to in ("hypervisor-2", "hypervisor-3"):
            customer.changed(customer.move(mover, to))
        late = customer.reserve("public")
        customer.create(f"late-{project}", Mode.ROUTED, [late], "hypervisor-2")
        refused = godwit(*here, "restore", file, "--replace")
        assert (refused.code, "(restore.services_run)" in refused.err) == (1, True)
        assert answers(site, late.address)

        restored = godwit(*here, "restore", file, "--replace", "--stop")

        assert restored.code == 0, restored.err
        told = [line.split() for line in restored.out.splitlines()]
        assert ["hypervisor-2", "nowhere", "address", f"{late.address}/32"] in told
        assert any(line[:3] == ["hypervisor-3", "elsewhere", "port"] for line in told)
        assert customer.instance(mover.id).hypervisor == "hypervisor-1"
        for address in hosts(mover, 4):
            eventually(lambda address=address: answers(site, address), f"{address} is back")  # type: ignore[misc]
        eventually(lambda: not answers(site, late.address), f"{late.address} is nobody's")
        assert customer.changed(customer.move(mover, "hypervisor-3")).hypervisor == "hypervisor-3"
        assert all(answers(site, address) for address in hosts(mover, 4))
        watch.let_run(1)

    assert lost(logs, "restore") == {}
