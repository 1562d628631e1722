"""Somebody who uses a cloud through its APIs, by the generated client; and waits for what was asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from godwit_client import (
    Connection,
    Operation,
    OperationFailed,
    OperationUnfinished,
    Patient,
    answer,
    connect,
    every,
    resource_id,
    wait,
)
from godwit_client.ipam import models as ipam
from godwit_client.ipam.api.flexible_ips import (
    attach_flexible_ip,
    detach_flexible_ip,
    get_flexible_ip,
    list_flexible_ips,
    move_flexible_ip,
    release_flexible_ip,
    reserve_flexible_ip,
)
from godwit_client.placement import models as placement
from godwit_client.placement.api.instances import (
    convert_instance,
    create_instance,
    delete_instance,
    get_instance,
    list_instances,
    move_instance,
    revert_instance,
    start_instance,
    stop_instance,
)

from cloud.site import Site
from common.errors import DomainError

FLAVOR = "small"
PATIENCE_S = 60.0


class OperationEnded(DomainError):
    """An operation failed, was cancelled, or is not done in time."""

    code = "tour.operation"


@dataclass(frozen=True, slots=True)
class Customer:
    """Acts in one project and zone. Calls raise Refused; those that wait raise OperationEnded."""

    api: Connection
    zone: str

    @classmethod
    def of(cls, site: Site, project: str, roles: Sequence[str] = ("operator",), *, zone: str | None = None) -> Customer:
        """In the site's first zone, unless another is named."""
        token = site.token(project=project, roles=roles)
        patience = Patient(unreachable_s=60.0, unavailable_s=60.0)
        return cls(connect(site.apis["ipam"], site.apis["placement"], token, patience), zone or site.zone)

    # --- addresses ---------------------------------------------------------------------------------------------------

    def reserve(self, pool: str, name: str | None = None, address: str | None = None) -> ipam.FlexibleIP:
        family = ipam.Family.IPV6 if "v6" in pool else ipam.Family.IPV4
        body = ipam.FlexibleIPReserve(zone=self.zone, family=family, pool=pool, name=name, address=address)
        return answer(reserve_flexible_ip.sync_detailed(client=self.api.ipam, body=body))

    def address(self, fip_id: UUID) -> ipam.FlexibleIP:
        return answer(get_flexible_ip.sync_detailed(fip_id, client=self.api.ipam))

    def addresses(self, project: str) -> list[ipam.FlexibleIP]:
        """All that a project holds."""
        return list(
            every(
                lambda cursor: answer(
                    list_flexible_ips.sync_detailed(client=self.api.ipam, cursor=cursor, project=project)
                )
            )
        )

    def attach(self, fip: ipam.FlexibleIP, to: placement.Instance) -> ipam.Operation:
        body = ipam.Attach(target=target(to))
        return answer(attach_flexible_ip.sync_detailed(fip.id, client=self.api.ipam, body=body))

    def detach(self, fip: ipam.FlexibleIP) -> ipam.Operation:
        return answer(detach_flexible_ip.sync_detailed(fip.id, client=self.api.ipam, body=ipam.Detach()))

    def move_address(self, fip: ipam.FlexibleIP, source: placement.Instance, to: placement.Instance) -> ipam.Operation:
        body = ipam.Move(from_=target(source), to=target(to))
        return answer(move_flexible_ip.sync_detailed(fip.id, client=self.api.ipam, body=body))

    def release(self, fip: ipam.FlexibleIP) -> ipam.FlexibleIP:
        return answer(release_flexible_ip.sync_detailed(fip.id, client=self.api.ipam))

    # --- instances ---------------------------------------------------------------------------------------------------

    def create(
        self,
        name: str,
        mode: placement.Mode,
        addresses: Sequence[ipam.FlexibleIP] = (),
        hypervisor: str | None = None,
    ) -> placement.Instance:
        """Create and wait until it runs."""
        body = placement.InstanceCreate(
            name=name,
            zone=self.zone,
            flavor=FLAVOR,
            mode=mode,
            addresses=[fip.id for fip in addresses],
            hypervisor=hypervisor,
        )
        operation = answer(create_instance.sync_detailed(client=self.api.placement, body=body))
        return self.changed(operation)

    def instances(self) -> list[placement.Instance]:
        """All that this customer may see."""
        return list(
            every(lambda cursor: answer(list_instances.sync_detailed(client=self.api.placement, cursor=cursor)))
        )

    def instance(self, instance_id: UUID) -> placement.Instance:
        return answer(get_instance.sync_detailed(instance_id, client=self.api.placement))

    def move(
        self,
        one: placement.Instance,
        to: str | None = None,
        kind: placement.MoveKind = placement.MoveKind.LIVE,
    ) -> placement.Operation:
        body = placement.InstanceMove(to=to, kind=kind)
        return answer(move_instance.sync_detailed(one.id, client=self.api.placement, body=body))

    def convert(self, one: placement.Instance) -> placement.Operation:
        body = placement.InstanceConvert()
        return answer(convert_instance.sync_detailed(one.id, client=self.api.placement, body=body))

    def revert(self, one: placement.Instance) -> placement.Operation:
        return answer(revert_instance.sync_detailed(one.id, client=self.api.placement))

    def stop(self, one: placement.Instance) -> placement.Operation:
        return answer(stop_instance.sync_detailed(one.id, client=self.api.placement))

    def start(self, one: placement.Instance, hypervisor: str | None = None) -> placement.Operation:
        body = placement.InstanceStart(hypervisor=hypervisor)
        return answer(start_instance.sync_detailed(one.id, client=self.api.placement, body=body))

    def delete(self, one: placement.Instance) -> placement.Operation:
        return answer(delete_instance.sync_detailed(one.id, client=self.api.placement))

    # --- waiting -----------------------------------------------------------------------------------------------------

    def done(self, operation: Operation, within_s: float = PATIENCE_S) -> Operation:
        """Wait until it has succeeded. Raises OperationEnded."""
        try:
            return wait(self.api, operation, within_s)
        except (OperationFailed, OperationUnfinished) as error:
            raise OperationEnded(error.message) from error

    def changed(self, operation: placement.Operation, within_s: float = PATIENCE_S) -> placement.Instance:
        """Wait, and answer the instance that was changed."""
        self.done(operation, within_s)
        return self.instance(resource_id(operation))

    def clean(self, project: str) -> None:
        """Delete all instances and release all addresses of `project`: what an earlier tour left."""
        for one in self.instances():
            if one.project == project:
                self.done(self.delete(one))
        for fip in self.addresses(project):
            if fip.state.value == "attached":
                self.done(self.detach(fip))
            if fip.state.value != "quarantined":
                self.release(fip)


def target(one: placement.Instance) -> ipam.TargetRef:
    return ipam.TargetRef(kind="instance", id=one.id)


def hosts(one: placement.Instance, version: int) -> list[str]:
    """The public addresses the guest configured, of IPv4 or IPv6: what a probe is sent to."""
    found = [address.host.partition("/")[0] for address in one.port.addresses if address.flexible_ip]
    return [host for host in found if (":" in host) == (version == 6)]


def link_name(one: placement.Instance) -> str:
    """The name of the link to the guest, on whichever hypervisor has it."""
    return f"g{one.port.id.hex[:12]}"
