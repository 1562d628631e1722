"""Guests by the thousand, as rows: what their creation through the API would have left in both databases."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import ip_interface, ip_network
from itertools import islice
from uuid import uuid4

from sqlalchemy import update

from cloud.processes import database_urls
from cloud.state import State
from common.auth import Principal
from common.db import Database
from services.ipam import model as ipam_model
from services.ipam import wire as ipam_wire
from services.ipam.service import attaching, flexible_ips
from services.ipam.service.caller import Caller
from services.placement import ledger, modes
from services.placement.desired import derive_ports
from services.placement.model import Instance, Node, NodeAddress, Port, PortAddress
from services.placement.node_addresses import BITS, FIRST
from services.placement.products.instance import KIND
from services.placement.service import flavors
from services.placement.store import instances, nodes

BATCH = 500
PER_PROJECT = 100  # its quota


def _silent(_name: str, _names: tuple[str, ...]) -> None:
    """Nobody is woken: what the ledger would ring for is made here."""


def make(state: State, zone: str, count: int) -> None:
    """Running NAT guests with a public IPv4, a 10.x and a legacy IPv6 each, over all hypervisors of a zone."""
    urls = database_urls(state)
    ledgers = Database(urls["ipam"], _silent)
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
        sets = _in_ledger(ledgers, guests)
        with controllers.transaction() as tx:
            for number, guest, held in zip(batch, guests, sets, strict=True):
                host = hosts[number % len(hosts)]
                tx.session.add(guest)
                tx.session.flush()
                nodes.allocate(tx, guest.id, host.id, guest.project, flavors.resources(flavor))
                guest.port.node_id = host.id
                guest.port.set_revision = guest.port.reported_revision = held.revision
                tx.session.add_all(_addresses(guest.port, host, number // len(hosts), held))
            tx.session.flush()
            derive_ports(tx, instances.ports(tx, [guest.port.id for guest in guests], lock=True))
    ledgers.close()
    controllers.close()


def _addresses(port: Port, host: Node, number: int, held: ipam_wire.AddressSet) -> Iterator[PortAddress | NodeAddress]:
    for position, one in enumerate(held.addresses):
        yield PortAddress(
            port_id=port.id,
            flexible_ip=one.flexible_ip,
            position=position,
            prefix=ip_network(one.prefix),
            host=str(ip_interface(one.host)),
        )
    for within in (host.private_prefix, host.legacy_prefix):
        assert within is not None  # noqa: S101  a hypervisor has both
        bits = BITS[within.version]
        value = int(within.network_address) + ((FIRST + number) << (within.max_prefixlen - bits))
        prefix = ip_network((value.to_bytes(within.max_prefixlen // 8, "big"), bits))
        yield NodeAddress(zone=port.instance.zone, prefix=prefix, node_id=host.id, port_id=port.id)


def _in_ledger(database: Database, guests: Sequence[Instance]) -> list[ipam_wire.AddressSet]:
    """Targets with an address each, as realised as they are about to be."""
    caller = Caller(Principal("bench", "", frozenset({"service"}), frozenset({KIND})), "bench")
    with database.transaction() as tx:
        for guest in guests:
            attaching.put_target(tx, caller, KIND, guest.id, ledger.target_of(guest.port))
            wanted = ipam_wire.FlexibleIPReserve(zone=guest.zone, project=guest.project, name=guest.name)
            fip = flexible_ips.reserve(tx, caller, wanted)
            to = ipam_wire.Attach(target=ipam_wire.TargetRef(kind=KIND, id=guest.id))
            attaching.attach(tx, caller, fip.id, to)
        realised = ipam_model.Target.addresses_revision
        tx.session.execute(
            update(ipam_model.Target)
            .where(ipam_model.Target.id.in_([guest.id for guest in guests]))
            .values(realized_revision=realised)
        )
        return [attaching.address_set(tx, caller, KIND, guest.id) for guest in guests]
