"""The person on call, by the generated client: fences, evacuates, drains, traces; and a tenant's failover addresses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from godwit_client import answer, every, ipam as ipam_api, placement as placement_api
from godwit_client.ipam import models as ipam
from godwit_client.ipam.api.flexible_ips import (
    fail_over_flexible_ip,
    put_flexible_ip_candidates,
    put_flexible_ip_health_check,
    reserve_flexible_ip,
    swap_flexible_ips,
)
from godwit_client.placement import models as placement
from godwit_client.placement.api.nodes import (
    drain_node,
    evacuate_node,
    fence_node,
    list_nodes,
    undrain_node,
    unfence_node,
)
from godwit_client.placement.api.operations import get_operation
from godwit_client.placement.api.traces import trace_address
from godwit_client.placement.models import Instance, Operation

from cloud.tour.customer import Customer, target

CHECK_MS, THRESHOLD = 100, 3
DRIFT = "drift"


@dataclass(frozen=True, slots=True)
class OnCall:
    """Acts on the nodes and addresses of one customer's zone. Calls raise Refused."""

    customer: Customer

    def fence(self, node: str, ref: str) -> Operation:
        body = placement.NodeFence(placement.Evidence(placement.EvidenceKind.POWER_OFF, ref))
        return answer(fence_node.sync_detailed(self.node(node).id, client=self._placement, body=body))

    def unfence(self, node: str) -> Operation:
        return answer(unfence_node.sync_detailed(self.node(node).id, client=self._placement))

    def evacuate(self, node: str) -> Operation:
        return answer(evacuate_node.sync_detailed(self.node(node).id, client=self._placement))

    def drain(self, node: str, concurrency: int) -> Operation:
        body = placement.NodeDrain(concurrency=concurrency)
        return answer(drain_node.sync_detailed(self.node(node).id, client=self._placement, body=body))

    def undrain(self, node: str) -> None:
        answer(undrain_node.sync_detailed(self.node(node).id, client=self._placement))

    def node(self, name: str) -> placement.Node:
        found = every(lambda cursor: answer(list_nodes.sync_detailed(client=self._placement, cursor=cursor, name=name)))
        return next(node for node in found if node.name == name)

    def waits_for(self, operation: Operation) -> str | None:
        """The code of what it waits for."""
        now = answer(get_operation.sync_detailed(operation.id, client=self._placement))
        return now.waiting_for.code if now.waiting_for else None

    def drifts(self, address: str) -> list[str]:
        """The codes by which a trace names what is not as asked for."""
        traced = answer(trace_address.sync_detailed(client=self._placement, address=address))
        return [finding.code for finding in traced.findings if finding.nature.value == DRIFT]

    def guarded_address(self, holder: Instance, other: Instance, port: int | None = None) -> ipam.FlexibleIP:
        """One that `holder` has, and that goes to `other` when echoes, or a TCP `port`, are not answered."""
        fip = self.failover_address(holder, other)
        protocol = ipam.HealthProtocol.ICMP if port is None else ipam.HealthProtocol.TCP
        check = ipam.HealthCheck(protocol, port, interval_ms=CHECK_MS, threshold=THRESHOLD, hold_down_s=5)
        answer(put_flexible_ip_health_check.sync_detailed(fip.id, client=self._ipam, body=check))
        return fip

    def failover_address(self, holder: Instance, other: Instance) -> ipam.FlexibleIP:
        """One that `holder` has, and that may go to `other`."""
        body = ipam.FlexibleIPReserve(
            zone=self.customer.zone, family=ipam.Family.IPV4, kind=ipam.FlexibleIPKind.FAILOVER
        )
        fip = answer(reserve_flexible_ip.sync_detailed(client=self._ipam, body=body))
        both = [ipam.CandidatePut(target(one), priority) for one, priority in ((holder, 200), (other, 100))]
        answer(put_flexible_ip_candidates.sync_detailed(fip.id, client=self._ipam, body=ipam.CandidatesPut(both)))
        self.customer.done(self.customer.attach(fip, holder))
        return fip

    def fail_over(self, fip: ipam.FlexibleIP) -> ipam.Operation:
        """To the best candidate that has it not."""
        return answer(fail_over_flexible_ip.sync_detailed(fip.id, client=self._ipam, body=ipam.Failover()))

    def swap(self, fips: Sequence[ipam.FlexibleIP], held_by: Sequence[Instance]) -> ipam.Operation:
        first, second = (ipam.Held(fip.id, target(one)) for fip, one in zip(fips, held_by, strict=True))
        return answer(swap_flexible_ips.sync_detailed(client=self._ipam, body=ipam.Swap(first, second)))

    @property
    def _placement(self) -> placement_api.AuthenticatedClient:
        return self.customer.api.placement

    @property
    def _ipam(self) -> ipam_api.AuthenticatedClient:
        return self.customer.api.ipam
