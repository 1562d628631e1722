"""Guests by the thousand, as rows: what their creation through the API would have left in both databases."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import ip_network
from itertools import islice
from uuid import uuid4

from sqlalchemy import select

from cloud.processes import database_urls
from cloud.state import State
from common.db import Database
from services.ipam import model as ipam_model, wire as ipam_wire
from services.ipam.service import attaching
from services.ipam.store import addresses, records
from services.placement import ledger, modes
from services.placement.desired import derive_ports
from services.placement.model import Instance, Node, NodeAddress, Port, PortAddress
from services.placement.node_addresses import BITS, FIRST
from services.placement.products.instance import KIND
from services.placement.service import flavors
from services.placement.store import instances, nodes

BATCH = 500
PER_PROJECT = 100  # its quota
SUPPLY = "198.19.0.0/16"
"""The prefix of a pool that their addresses are from; nobody else may reserve of it."""


def _silent(_name: str, _names: tuple[str, ...]) -> None:
    """Nobody is woken: what the ledger would ring for is made here."""


def make(state: State, zone: str, count: int) -> None:
    """Running NAT guests with a public IPv4, a 10.x and a legacy IPv6 each, over all hypervisors of a zone."""
    urls = database_urls(state)
    ledgers = Database(urls["ipam"], _silent)
    with ledgers.transaction() as tx:
        supply = tx.session.scalars(select(ipam_model.Prefix).where(ipam_model.Prefix.cidr == SUPPLY)).one()
    controllers = Database(urls["placement"], _silent)
    with controllers.transaction() as tx:
        hosts = nodes.nodes_of_zone(tx, zone, "hypervisor")
        flavor = instances.flavor(tx, "small")
    assert flavor is not None  # noqa: S101  every cloud has it
    made = iter(range(count))
    while batch := list(islice(made, BATCH)):
        guests = [
            Instance(
                id=uuid4(),
                project=f"project-{number // PER_PROJECT}",
                zone=zone,
                name=f"guest-{number:06}",
                flavor_id=flavor.id,
            )
            for number in batch
        ]
        for one in guests:
            one.port = Port(
                id=uuid4(), kind=KIND, target_id=one.id, mode=modes.NAT, ledger_mode=modes.NAT, instance=one
            )
        fips = _in_ledger(ledgers, supply, batch, guests)
        with controllers.transaction() as tx:
            for number, guest, fip in zip(batch, guests, fips, strict=True):
                host = hosts[number % len(hosts)]
                guest.port.node_id, guest.port.set_revision, guest.port.reported_revision = host.id, 1, 1
                tx.session.add(guest)
                tx.session.add_all(_addresses(guest.port, host, number // len(hosts), fip))
                nodes.allocate(tx, guest.id, host.id, guest.project, flavors.resources(flavor))
            tx.session.flush()
            derive_ports(tx, instances.ports(tx, [guest.port.id for guest in guests], lock=True))
    ledgers.close()
    controllers.close()


def _addresses(port: Port, host: Node, number: int, fip: ipam_model.FlexibleIP) -> Iterator[PortAddress | NodeAddress]:
    public = ip_network(fip.address)
    yield PortAddress(port_id=port.id, flexible_ip=fip.id, position=0, prefix=public, host=str(public))
    for within in (host.private_prefix, host.legacy_prefix):
        assert within is not None  # noqa: S101  a hypervisor has both
        bits = BITS[within.version]
        value = int(within.network_address) + ((FIRST + number) << (within.max_prefixlen - bits))
        prefix = ip_network((value.to_bytes(within.max_prefixlen // 8, "big"), bits))
        yield NodeAddress(zone=port.instance.zone, prefix=prefix, node_id=host.id, port_id=port.id)


def _in_ledger(
    database: Database, prefix: ipam_model.Prefix, numbers: Sequence[int], guests: Sequence[Instance]
) -> list[ipam_model.FlexibleIP]:
    """Targets with an address each, realised; their history is left out."""
    last = ip_network(prefix.cidr).broadcast_address - 1  # the first ones are in the queue of the free already
    with database.transaction() as tx, tx.session.no_autoflush:
        at = addresses.clock(tx)
        targets = [
            ipam_model.Target(kind=KIND, id=guest.id, **ledger.target_of(guest.port).model_dump()) for guest in guests
        ]
        fips = [
            ipam_model.FlexibleIP(
                id=ipam_model.new_id(),
                project=guest.project,
                zone=guest.zone,
                pool_id=prefix.pool_id,
                family=ipam_wire.Family.IPV4,
                kind=ipam_wire.FlexibleIPKind.STANDARD,
                address=f"{last - number}/32",
                name=guest.name,
                labels={},
                revision=1,
                created_at=at,
                updated_at=at,
                attachments=[],
            )
            for number, guest in zip(numbers, guests, strict=True)
        ]
        given = [
            ipam_model.Supply(
                address=fip.address, pool_id=prefix.pool_id, prefix_id=prefix.id, free=False, available_at=at
            )
            for fip in fips
        ]
        tx.session.add_all([*targets, *fips, *given])
        for fip, target, operation in zip(
            fips, targets, records.open_operations(tx, attaching.ATTACH, fips), strict=True
        ):
            target.addresses_revision = 0
            fip.serve(target, None, operation, at)
            target.realized_revision = target.addresses_revision
            operation.succeed()
    return fips
