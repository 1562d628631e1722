"""What the controller asks of the ledger: zones, and for its instances targets and their addresses."""

from __future__ import annotations

from uuid import UUID

from common.errors import Conflict, Invalid, NotFound
from services.ipam import wire as ipam_wire
from services.ipam.client import IpamClient
from services.placement.errors import AddressUnusable, LedgerUnavailable
from services.placement.model import Port
from services.placement.modes import MODES
from services.placement.wire import Stack, Zone


def put_zone(ipam: IpamClient, zone: Zone) -> None:
    """Make the zone known; regional addresses may come to one that is routed. Repeating it changes nothing."""
    accepts = zone.stack is Stack.ROUTED
    ipam.put_zone(zone.name, ipam_wire.ZonePut(region=zone.region, accepts_regional=accepts))


def check_addresses(
    ipam: IpamClient, project: str, zone: str, mode: str, addresses: list[UUID], allocate: list[str]
) -> None:
    """Raises AddressUnusable if an instance of this mode could not have these addresses. Reads only."""
    counts = {"ipv4": allocate.count("ipv4"), "ipv6": allocate.count("ipv6")}
    found = {fip.id: fip for fip in ipam.flexible_ips(addresses)}
    for fip_id in addresses:
        fip = found.get(fip_id)
        if fip is None or fip.project != project:
            raise AddressUnusable(f"there is no flexible IP {fip_id}")
        if fip.zone != zone:
            raise AddressUnusable(f"{fip.address} is of zone {fip.zone}, the instance of zone {zone}")
        if fip.state is not ipam_wire.FlexibleIPState.RESERVED:
            raise AddressUnusable(f"{fip.address} is {fip.state}; detach it first")
        counts[fip.family] += not fip.carried
    if len(set(addresses)) != len(addresses):
        raise AddressUnusable("an address is given twice")
    limits = MODES[mode]
    if counts["ipv4"] > limits.limit_ipv4 or counts["ipv6"] > limits.limit_ipv6:
        raise AddressUnusable(
            f"a port of mode {mode} takes at most {limits.limit_ipv4} flexible IPv4"
            f" and {limits.limit_ipv6} IPv6 addresses"
        )


def target_of(port: Port) -> ipam_wire.TargetPut:
    """A port as the ledger knows it: its instance, and how many addresses its mode takes."""
    limits = MODES[port.mode]
    return ipam_wire.TargetPut(
        project=port.instance.project,
        zone=port.instance.zone,
        name=port.instance.name,
        limit_ipv4=limits.limit_ipv4,
        limit_ipv6=limits.limit_ipv6,
    )


def register(
    ipam: IpamClient, port: Port, operation_id: str, addresses: list[UUID], allocate: list[str]
) -> ipam_wire.AddressSet:
    """Make the port a target with its addresses; repeating it changes nothing.

    Raises LedgerUnavailable, or what the ledger refused with.
    """
    instance = port.instance
    ipam.register_target(port.kind, port.target_id, target_of(port))
    target = ipam_wire.TargetRef(kind=port.kind, id=port.target_id)
    try:
        for fip_id in addresses:
            ipam.attach(fip_id, ipam_wire.Attach(target=target), idempotency_key=f"{operation_id}-{fip_id}")
        for number, family in enumerate(allocate):
            reserved = ipam.reserve(
                ipam_wire.FlexibleIPReserve(
                    zone=instance.zone,
                    family=ipam_wire.Family(family),
                    project=instance.project,
                    name=instance.name,
                ),
                idempotency_key=f"{operation_id}-{number}-{family}",
            )
            ipam.attach(reserved.id, ipam_wire.Attach(target=target), idempotency_key=f"{operation_id}-{reserved.id}")
    except (Conflict, Invalid, NotFound) as error:
        if error.retryable:
            raise LedgerUnavailable(error.message) from error
        raise
    return ipam.address_set(port.kind, port.target_id)


def undo(ipam: IpamClient, port: Port, given: list[UUID]) -> None:
    """Leave nothing of a creation that failed: neither its target nor what was reserved for it. `given` stays.

    Repeating it changes nothing. Raises Unavailable.
    """
    reserved = [fip.id for fip in ipam.flexible_ips_on(port.kind, port.target_id) if fip.id not in given]
    ipam.delete_target(port.kind, port.target_id)
    for fip_id in reserved:
        ipam.release(fip_id)
