"""What a hypervisor tells of its ports' traffic."""

from __future__ import annotations

from ipaddress import IPv4Address
from uuid import UUID

from dataplane.entries import Leg, LegState
from dataplane.hostnat import LinkTraffic, PrivatePeer
from dataplane.memory import Kernel, MemoryTraffic
from services.netagent import wire
from services.netagent.observe import port_traffic
from services.netagent.render import guest_name, link_name

BUSY, QUIET, ELSEWHERE = (UUID(int=number << 100) for number in (1, 2, 3))


def test_traffic_is_told_of_the_ports_that_are_here() -> None:
    kernel = Kernel()
    for port in (BUSY, QUIET):
        kernel.alter(Leg(link_name(port), guest_name(port), "06:00:00:00:00:07", LegState.ACTIVE))
    peer = PrivatePeer(IPv4Address("10.1.0.9"), received=5, sent=6, seen_seconds_ago=0.5)
    kernel.traffic[link_name(BUSY)] = LinkTraffic(1, 20, 3, 40, [peer])

    assert port_traffic(MemoryTraffic(kernel), [BUSY, QUIET, ELSEWHERE]) == [
        wire.PortTraffic(
            port=BUSY,
            inbound_packets=1,
            inbound_bytes=20,
            outbound_packets=3,
            outbound_bytes=40,
            private_peers=[
                wire.PrivatePeer(peer=IPv4Address("10.1.0.9"), received=5, sent=6, seen_seconds_ago=0.5),
            ],
        ),
        wire.PortTraffic(
            port=QUIET, inbound_packets=0, inbound_bytes=0, outbound_packets=0, outbound_bytes=0, private_peers=[]
        ),
    ]
