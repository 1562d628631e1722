"""A zone goes off the central NAT by waves, comes back, and goes again, under real packets."""

from __future__ import annotations

from pathlib import Path

from godwit_client.placement.models import Phase, PortState

from cloud import measure, rawlog
from cloud.conversion import dump, figures, guests
from cloud.conversion.operator import Operator, count
from cloud.conversion.traffic import attending, connected
from cloud.site import LocalSite
from cloud.tour.customer import Customer

GUESTS = 6
WITHIN_S = 120.0


def test_a_zone_converted_and_brought_back_twice_loses_nothing_and_is_as_it_was(
    site: LocalSite, customer: Customer, project: str, logs: Path
) -> None:
    operator = Operator(customer)
    ours = guests.boot(site, customer, project, GUESTS)
    dump.write(site, customer, project, logs / "before.dump")

    with (
        connected(site, logs / "streams.tcp", ours, str(site.plan.uplink.address4.ip)),
        attending(site, logs / "switches.probe", ours) as prober,
    ):
        prober.attend(ours)
        for _ in range(2):
            plan = operator.plan(Phase.WAVES, in_flight=GUESTS)
            operator.start(plan.id)
            through = operator.until(plan.id, lambda seen: bool(seen.paused), WITHIN_S)
            operator.abort(plan.id)
            operator.until(plan.id, lambda seen: seen.phase == Phase.ABORTED, WITHIN_S)
            assert count(through, PortState.VERIFIED) == GUESTS

    dump.write(site, customer, project, logs / "after.dump")
    assert figures.differences(logs / "before.dump", logs / "after.dump") == []
    probed = figures.loss(logs / "switches.probe")
    assert probed.sent > 10_000
    assert (probed.lost, probed.duplicates, figures.strayed(logs / "switches.probe")) == (0, 0, 0)
    connections = measure.connections(rawlog.read(logs / "streams.tcp", "tcp"))
    assert [one.survived for one in connections] == [True] * 2 * GUESTS
