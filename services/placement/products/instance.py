"""Instances: what a customer asks of them, and what they ask of a node."""

from __future__ import annotations

import re
from uuid import UUID

from sqlalchemy.exc import IntegrityError

from common.auth import Principal
from common.db import Transaction, violated
from common.web import Page, Paging, check_revision
from services.placement import claims, modes, scheduler, wire
from services.placement.conversion import adoption
from services.placement.conversion.phases import Phase
from services.placement.conversion.prediction import predict
from services.placement.conversion.steps import CONVERSIONS, CONVERT, REVERT, Stage
from services.placement.desired import announced_prefixes, derive_port, port_facts
from services.placement.errors import (
    CapacityExhausted,
    ConversionMode,
    ConversionStack,
    FlavorUnknown,
    HypervisorChosen,
    HypervisorsSilent,
    InstanceBusy,
    InstanceNameReserved,
    InstanceNameTaken,
    InstanceState,
    InstanceUnknown,
    ModeUnsupported,
    NodeFull,
    NodeLocalDisk,
    NodeUnknown,
    NodeUnsuitable,
    PrefixExhausted,
    SameHypervisor,
    ZoneUnknown,
)
from services.placement.model import Instance, Operation, Port, Prefix, Zone
from services.placement.move import Kind, first_step
from services.placement.node_addresses import lowest_free
from services.placement.service import flavors
from services.placement.service.operations import operation_wire, project_of
from services.placement.snapshot import PortFacts
from services.placement.store import archives, conversions, entries, instances, nodes, operations

KIND = "instance"
NODE_NAMES = re.compile(r"^(z\d+-)?(internet|edge|control|(gateway|hypervisor)-\d+)$")


# --- reading ---------------------------------------------------------------------------------------------------------


def get(tx: Transaction, principal: Principal, instance_id: UUID) -> wire.Instance:
    return instance_wire(tx, _instance(tx, principal, instance_id))


def _instance(tx: Transaction, principal: Principal, instance_id: UUID) -> Instance:
    instance = instances.instance(tx, instance_id, project_of(principal))
    if instance is None:
        raise InstanceUnknown(f"there is no instance {instance_id}")
    return instance


def page(
    tx: Transaction,
    principal: Principal,
    paging: Paging,
    zone: str | None,
    name: str | None,
    hypervisor: str | None,
) -> Page[wire.Instance]:
    node = nodes.node_by_name(tx, hypervisor) if hypervisor else None
    if hypervisor and node is None:
        return Page(items=[])
    found = instances.instances(
        tx,
        paging.limit + 1,
        paging.key(str, UUID),
        project_of(principal),
        zone,
        name,
        node.id if node else None,
    )
    return paging.page([instance_wire(tx, item) for item in found], key=lambda item: [item.name, str(item.id)])


def state_of(port: Port) -> wire.InstanceState:
    if port.claim is not None and port.claim.kind in CONVERSIONS:
        return wire.InstanceState.CONVERTING
    if port.claim is not None:
        return {
            Kind.CREATE: wire.InstanceState.CREATING,
            Kind.START: wire.InstanceState.STARTING,
            Kind.LIVE: wire.InstanceState.MOVING,
            Kind.COLD: wire.InstanceState.MOVING,
            Kind.EVACUATE: wire.InstanceState.MOVING,
            Kind.RESTART: wire.InstanceState.RESTARTING,
            Kind.RETURN: wire.InstanceState.STARTING,
            Kind.STOP: wire.InstanceState.STOPPING,
            Kind.DELETE: wire.InstanceState.DELETING,
        }[Kind(port.claim.kind)]
    return wire.InstanceState.RUNNING if port.node_id else wire.InstanceState.ARCHIVED


def instance_wire(tx: Transaction, instance: Instance) -> wire.Instance:
    port = instance.port
    node = nodes.node(tx, port.node_id) if port.node_id else None
    stored = archives.of_port(tx, port.id) if node is None else None
    return wire.Instance(
        id=instance.id,
        project=instance.project,
        zone=instance.zone,
        name=instance.name,
        flavor=instance.flavor.name,
        state=state_of(port),
        hypervisor=node.name if node else None,
        archive=wire.Archive.model_validate(stored) if stored and stored.digest else None,
        port=_port_wire(port, port_facts(tx, [port])[port.id]),
        operation=port.claim.operation_id if port.claim else None,
        revision=instance.revision,
        created_at=instance.created_at,
        updated_at=instance.updated_at,
    )


def _port_wire(port: Port, facts: PortFacts) -> wire.Port:
    flexible = {address.prefix: address.flexible_ip for address in port.addresses}
    announced = set(announced_prefixes(facts))
    addresses = [
        wire.PortAddress(
            prefix=str(one.prefix),
            host=str(one.host),
            flexible_ip=flexible.get(one.prefix),
            announced=one.prefix in announced,
            sequence=one.sequence.current,
        )
        for one in facts.all_addresses()
    ]
    return wire.Port(id=port.id, mac=port.mac, mode=wire.Mode(port.mode), addresses=addresses)


# --- changing --------------------------------------------------------------------------------------------------------


def mode_for(zone: Zone, asked: wire.Mode | None) -> str:
    """Raises ModeUnsupported."""
    offered = [mode for mode in modes.OF_STACK[zone.stack] if mode != modes.NAT or not zone.nat_closed]
    mode = str(asked) if asked else offered[0]
    if mode not in offered:
        raise ModeUnsupported(f"zone {zone.name} takes ports of mode {' or '.join(offered)}, not {mode}")
    return mode


def zone_and_mode(tx: Transaction, body: wire.InstanceCreate) -> str:
    """The mode a new instance will have, before anything else is asked. Raises ZoneUnknown, ModeUnsupported."""
    zone = nodes.zone(tx, body.zone)
    if zone is None:
        raise ZoneUnknown(f"there is no zone {body.zone!r}")
    return mode_for(zone, body.mode)


def create(tx: Transaction, principal: Principal, body: wire.InstanceCreate, mode: str) -> wire.Operation:
    """Place a new instance and start creating it.

    Raises FlavorUnknown, InstanceNameReserved, InstanceNameTaken, HypervisorChosen, NodeUnknown, NodeFull,
    NodeUnsuitable, CapacityExhausted, PrefixExhausted.
    """
    if NODE_NAMES.match(body.name):
        raise InstanceNameReserved(f"{body.name!r} is a name for nodes; choose another")
    flavor = instances.flavor(tx, body.flavor)
    if flavor is None:
        raise FlavorUnknown(f"there is no flavour {body.flavor!r}")
    instance = Instance(project=principal.project, zone=body.zone, name=body.name, flavor=flavor)
    tx.session.add(instance)
    try:
        tx.session.flush()
    except IntegrityError as error:
        if violated(error) != "uq_instance_project_name":
            raise
        raise InstanceNameTaken(f"the project has an instance {body.name!r} already") from error
    port = Port(kind=KIND, target_id=instance.id, mode=mode, ledger_mode=mode, instance=instance)
    tx.session.add(port)
    tx.session.flush()
    operation = _begin(tx, port, Kind.CREATE)
    assert port.claim is not None  # noqa: S101  just made
    port.claim.requested = {"addresses": [str(fip) for fip in body.addresses], "allocate": list(body.allocate)}
    _place(tx, principal, port, body.hypervisor)
    return operation_wire(operation)


def start(
    tx: Transaction, principal: Principal, instance_id: UUID, body: wire.InstanceStart, expected: int | None
) -> wire.Operation:
    """Start an archived instance, on whatever hypervisor has room."""
    instance = _ready(tx, principal, instance_id, expected, running=False)
    adoption.adopt(tx, instance.port)
    operation = _begin(tx, instance.port, Kind.START)
    _place(tx, principal, instance.port, body.hypervisor)
    derive_port(tx, instance.port)
    return operation_wire(operation)


def stop(tx: Transaction, principal: Principal, instance_id: UUID, expected: int | None) -> wire.Operation:
    """Archive an instance: its disk goes to the object store, its compute is freed, its addresses stay attached."""
    instance = _ready(tx, principal, instance_id, expected, running=True)
    operation = _begin(tx, instance.port, Kind.STOP)
    derive_port(tx, instance.port)
    return operation_wire(operation)


def move(
    tx: Transaction, principal: Principal, instance_id: UUID, body: wire.InstanceMove, expected: int | None
) -> wire.Operation:
    """Move to a named hypervisor, or to any other: live, or cold, by way of the object store."""
    instance = _ready(tx, principal, instance_id, expected, running=True)
    source = nodes.node(tx, instance.port.node_id) if instance.port.node_id else None
    if body.kind is wire.MoveKind.LIVE and source is not None and scheduler.LOCAL_DISK_TRAIT in source.traits:
        raise NodeLocalDisk(f"{source.name} keeps its guests' disks to itself: move {instance.name} cold")
    operation = _begin(tx, instance.port, Kind(body.kind))
    _place(tx, principal, instance.port, body.to)
    derive_port(tx, instance.port)
    return operation_wire(operation)


def delete(tx: Transaction, principal: Principal, instance_id: UUID, expected: int | None) -> wire.Operation:
    """Delete an instance, running or archived; its flexible IPs stay reserved."""
    instance = _ready(tx, principal, instance_id, expected, running=None)
    operation = _begin(tx, instance.port, Kind.DELETE)
    derive_port(tx, instance.port)
    return operation_wire(operation)


def restart(tx: Transaction, principal: Principal, instance_id: UUID, expected: int | None) -> wire.Operation:
    """Stop a running instance and start it where it is. One that was converted takes its addresses itself then."""
    instance = _ready(tx, principal, instance_id, expected, running=True)
    operation = _begin(tx, instance.port, Kind.RESTART)
    derive_port(tx, instance.port)
    return operation_wire(operation)


def convert(
    tx: Transaction, principal: Principal, instance_id: UUID, body: wire.InstanceConvert, expected: int | None
) -> wire.Operation:
    """Take a port off the central NAT, the guest undisturbed: nat → hostnat.

    Raises ConversionMode, ConversionStack.
    """
    instance = _ready(tx, principal, instance_id, expected, running=None)
    port, zone = instance.port, nodes.zone(tx, instance.zone)
    conversion = conversions.of_zone(tx, instance.zone)
    if zone is None or zone.stack == wire.Stack.NAT or (conversion and conversion.phase == Phase.ABORTING):
        raise ConversionStack(f"zone {instance.zone} does not run both stacks")
    port.gives_up_ipv4 |= body.gives_up_ipv4
    if port.mode == modes.HOSTNAT and body.gives_up_ipv4:  # converted already: this is its owner's word alone
        told = operations.add(
            tx, f"instance.{CONVERT}", f"/placement/v1/instances/{instance.id}", instance.project, CONVERT
        )
        told.succeed({"predicted": predict(port).model_dump(mode="json")})
        return operation_wire(told)
    if port.mode != modes.NAT:
        raise ConversionMode(f"{instance.name} is in mode {port.mode}, not {modes.NAT}")
    operation = claims.claim(tx, port, CONVERT, Stage.NAT.name.lower())
    operation.result = {"predicted": predict(port).model_dump(mode="json")}
    return operation_wire(operation)


def revert(tx: Transaction, principal: Principal, instance_id: UUID, expected: int | None) -> wire.Operation:
    """Put a port back behind the central NAT, the guest undisturbed: hostnat → nat.

    Raises ConversionMode, ConversionStack.
    """
    instance = _ready(tx, principal, instance_id, expected, running=None)
    zone = nodes.zone(tx, instance.zone)
    if zone is None or zone.stack == wire.Stack.ROUTED or zone.nat_closed:
        raise ConversionStack(f"zone {instance.zone} takes no NAT ports any more")
    if instance.port.mode != modes.HOSTNAT:
        raise ConversionMode(f"{instance.name} is in mode {instance.port.mode}, not {modes.HOSTNAT}")
    return operation_wire(claims.claim(tx, instance.port, REVERT, Stage.SWITCHED.name.lower()))


def _ready(
    tx: Transaction, principal: Principal, instance_id: UUID, expected: int | None, *, running: bool | None
) -> Instance:
    """The instance, its port locked, in a state to be changed. Raises InstanceBusy, InstanceState, StaleRevision."""
    instance = _instance(tx, principal, instance_id)
    instances.port(tx, instance.port.id, lock=True)
    check_revision(expected, instance.revision)
    if instance.port.claim is not None:
        raise InstanceBusy(f"{instance.name} is being changed by {instance.port.claim.operation_id}; wait for it")
    if running is not None and (instance.port.node_id is not None) != running:
        state = state_of(instance.port)
        raise InstanceState(f"{instance.name} is {state}, not {'running' if running else 'archived'}")
    return instance


def _begin(tx: Transaction, port: Port, kind: Kind) -> Operation:
    return claims.claim(tx, port, kind, first_step(kind))


def _place(tx: Transaction, principal: Principal, port: Port, wanted: str | None) -> None:
    """Choose the destination and hold its capacity and node-bound addresses for the claim."""
    if wanted is not None and "operator" not in principal.roles:
        raise HypervisorChosen("only an operator chooses the hypervisor; leave it out")
    needed = flavors.resources(port.instance.flavor)
    node_id = _named(tx, port, wanted, needed) if wanted is not None else _any(tx, port, needed)
    hold(tx, port, node_id)


def hold(tx: Transaction, port: Port, node_id: UUID) -> None:
    """A node becomes the destination of a port's claim, which holds its capacity and node-bound addresses there."""
    assert port.claim is not None  # noqa: S101  it is what holds them
    nodes.allocate(tx, port.claim.consumer, node_id, port.instance.project, flavors.resources(port.instance.flavor))
    given = _node_addresses(tx, port, node_id)
    for prefix in given:
        instances.give_node_address(tx, port, node_id, prefix)
    port.claim.destination_id = node_id
    port.claim.requested = {**port.claim.requested, "given": [str(prefix) for prefix in given]}
    tx.session.flush()


def _any(tx: Transaction, port: Port, needed: dict[str, int]) -> UUID:
    """The best hypervisor that still has room, and addresses, once its supply is ours.

    Raises CapacityExhausted, HypervisorsSilent.
    """
    zone = port.instance.zone
    exclude = frozenset({port.node_id} if port.node_id else ())
    hosts = [host for host in nodes.hosts(tx, zone) if _reaches_disk(port, host)]
    for candidate in scheduler.candidates(hosts, needed, exclude=exclude):
        if _locked(tx, zone, candidate.id).fits(needed) and has_addresses(tx, port, candidate.id):
            return candidate.id
    silent = [host.name for host in hosts if host.enabled and not host.up and host.id not in exclude]
    if silent:
        raise HypervisorsSilent(f"no hypervisor that answers has room; {', '.join(sorted(silent))} may have")
    raise CapacityExhausted(f"no {'other ' if exclude else ''}hypervisor of zone {zone} has room")


def _locked(tx: Transaction, zone: str, node_id: UUID) -> scheduler.Host:
    """A hypervisor, its supply ours until commit."""
    nodes.lock_supply(tx, node_id)
    return next(host for host in nodes.hosts(tx, zone) if host.id == node_id)


def _named(tx: Transaction, port: Port, name: str, needed: dict[str, int]) -> UUID:
    """Raises NodeUnknown, SameHypervisor, NodeLocalDisk, NodeUnsuitable, NodeFull."""
    node = nodes.node_by_name(tx, name)
    if node is None or node.zone != port.instance.zone or node.role != "hypervisor":
        raise NodeUnknown(f"zone {port.instance.zone} has no hypervisor {name!r}")
    if node.id == port.node_id:
        raise SameHypervisor(f"{port.instance.name} is on {name} already")
    host = _locked(tx, node.zone, node.id)
    if not _reaches_disk(port, host):
        raise NodeLocalDisk(f"{name} keeps its guests' disks to itself: move {port.instance.name} cold")
    if not host.schedulable:
        raise NodeUnsuitable(f"{name} is disabled or does not answer")
    if not host.fits(needed):
        raise NodeFull(f"{name} has no room for flavour {port.instance.flavor.name}")
    return node.id


def _reaches_disk(port: Port, host: scheduler.Host) -> bool:
    """A live move leaves the disk where it is."""
    return host.shares_disks or port.claim is None or port.claim.kind != Kind.LIVE


def has_addresses(tx: Transaction, port: Port, node_id: UUID) -> bool:
    """Whether a node has the node-bound addresses left that a port needs there."""
    try:
        _node_addresses(tx, port, node_id)
    except PrefixExhausted:
        return False
    return True


def _node_addresses(tx: Transaction, port: Port, node_id: UUID) -> list[Prefix]:
    """The 10.x and legacy IPv6 a port gets on a node, whose supply is ours. Raises PrefixExhausted."""
    node = nodes.node(tx, node_id)
    mode = modes.MODES[port.mode]
    if node is None or not mode.node_bound:
        return []
    kept = {held.prefix.version for held in port.node_addresses if held.carried or not mode.rebinds}
    kept |= {address.prefix.version for address in port.addresses if address.prefix.version == 6}
    found = []
    for within in (node.private_prefix, node.legacy_prefix):
        if within is None or within.version in kept:
            continue
        taken = instances.addresses_within(tx, port.instance.zone, within)
        prefix = lowest_free(within, taken + entries.withdrawing(tx, node_id, within.version))
        if prefix is None:
            raise PrefixExhausted(f"no address is left in {within}")
        found.append(prefix)
    return found
