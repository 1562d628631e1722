"""The last judgement: faults healed and sweeps run, everything has become what was asked for."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from uuid import UUID

from dataplane.entries import Anchor, Inbound, Leg
from services.netagent.render import link_name
from services.placement import modes
from services.placement.snapshot import Prefix
from tests.simulation.invariants import Broken
from tests.simulation.requests import ARCHIVED, DELETED, RUNNING, Requests
from tests.simulation.rows import Port, Rows


def judge(requests: Requests) -> None:
    """Raises Broken."""
    requests.settle_promises()
    _nodes(requests)
    _operations(requests)
    _instances(requests)
    _addresses(requests)
    _leftovers(requests)


def _nodes(requests: Requests) -> None:
    controller = requests.controller
    for node in controller.rows.nodes.values():
        agent = controller.agents[node.id]
        if node.fence or node.fenced or node.admin_state != "enabled" or node.id in controller.rows.works:
            raise Broken("unfinished", f"{node.name} is {node.admin_state}, fenced: {node.fence}, {node.fenced}")
        if node.generation != node.applied or node.refused:
            raise Broken(
                "not converged", f"{node.name} is at {node.applied} of {node.generation}, {node.refused} refused"
            )
        if not agent.sound():
            raise Broken("not converged", f"the kernel of {node.name} differs from what it was told")
        if agent.state().digest != node.digest.hex():
            raise Broken("not converged", f"{node.name} was told something else than it must hold")


def _operations(requests: Requests) -> None:
    for operation in requests.controller.rows.operations.values():
        if not operation.final:
            raise Broken("unfinished", f"{operation.id} {operation.kind} is {operation.state} for {operation.waits}")
    for asked in requests.controller.ledger.operations.values():
        if not asked.finished:
            waits = asked.waiting_for and asked.waiting_for["code"]
            raise Broken("unfinished", f"{asked.id} {asked.kind} is {asked.state} for {waits}")


def _instances(requests: Requests) -> None:
    rows = requests.controller.rows
    for port_id, intent in requests.promised.items():
        port = rows.ports.get(port_id)
        state = DELETED if port is None else RUNNING if port.node is not None else ARCHIVED
        if state != intent:
            raise Broken("lost intent", f"{port.name if port else port_id} is {state}, wanted {intent}")
        if port is not None and port_id not in requests.controller.ledger.targets:
            raise Broken("lost intent", f"{port.name} is {state}, and the ledger does not know it")
    held = {port.id: port.node for port in rows.ports.values() if port.node is not None}
    if held != rows.allocations:
        raise Broken("allocations", f"{rows.allocations} are held, {held} run")
    for prefix, (node, holder) in rows.node_bound.items():
        if holder is None:
            continue
        if holder not in rows.ports:
            raise Broken("allocations", f"{prefix} is held by {holder}, which is gone")
        if (
            modes.MODES[rows.ports[holder].mode].rebinds
            and prefix not in rows.carried
            and _moved(rows, holder, node, prefix)
        ):
            raise Broken("allocations", f"{prefix} is held by {holder}, which has one of its own node")


def _moved(rows: Rows, port_id: UUID, node: UUID, prefix: Prefix) -> bool:
    """Whether a port is elsewhere than on `node`, with an address like `prefix` of where it is."""
    here = rows.ports[port_id].node
    held = [(of, p.version) for p, (of, holder) in rows.node_bound.items() if holder == port_id]
    return here != node and (here, prefix.version) in held


def _addresses(requests: Requests) -> None:
    controller = requests.controller
    rows = controller.rows
    for fip_id, fip in controller.ledger.flexible_ips.items():
        intent, holder = controller.ledger.promised.get(fip_id), controller.ledger.holder(fip_id)
        if holder != intent or fip.waiting is not None:
            raise Broken("lost intent", f"{fip.address} is on {holder}, wanted on {intent}")
        if holder is None:
            continue
        if fip.state != "attached":
            raise Broken("unfinished", f"{fip.address} is {fip.state}")
        port = rows.ports[holder]
        prefix = next((address.prefix for address in port.addresses if address.flexible_ip == fip_id), None)
        if prefix is None:
            raise Broken("lost intent", f"the controller does not know that {fip.address} is on {port.name}")
        if port.node is None:
            continue
        if port.mode == modes.ROUTED:
            if controller.fabric.next_hops(prefix) != [port.node]:
                raise Broken("not converged", f"the fabric does not send {prefix} to {port.name}")
        elif port.mode == modes.HOSTNAT:
            _by_its_own_hypervisor(requests, port, prefix)
        elif port.mode == modes.NAT and prefix.version == 4:
            public = IPv4Address(prefix.network_address)
            for gateway in rows.of_role("gateway"):
                row = controller.agents[gateway.id].kernel.table(Inbound).get(public)
                held = rows.node_bound.get(IPv4Network(row.private)) if row else None
                if held is None or held[1] != port.id:
                    raise Broken("not converged", f"{gateway.name} sends {public} to {row}, which {held} has")


def _by_its_own_hypervisor(requests: Requests, port: Port, prefix: Prefix) -> None:
    """A `hostnat` port's addresses come straight, and no gateway knows its public one."""
    controller = requests.controller
    public = prefix.network_address
    if prefix.version == 4 and controller.fabric.next_hops(prefix) != [port.node]:
        raise Broken("not converged", f"the fabric does not send {prefix} to {port.name}")
    for gateway in controller.rows.of_role("gateway"):
        if public in controller.agents[gateway.id].kernel.table(Inbound):
            raise Broken("left over", f"{gateway.name} maps {public} of {port.name}")


def _leftovers(requests: Requests) -> None:
    """Nothing is left of what is gone, in rows or kernels."""
    controller = requests.controller
    rows = controller.rows
    for owner in rows.owners():
        if owner not in rows.ports and owner not in rows.nodes:  # nor does an edge hold an address apart any more
            raise Broken("left over", f"nodes must hold something of {owner}, which is gone")
    legs = {link_name(port.id): port.node for port in rows.ports.values() if port.node is not None}
    for agent in controller.agents.values():
        for link in agent.kernel.table(Leg):
            if legs.get(str(link)) != agent.id:
                raise Broken("left over", f"{agent.name} has a leg {link}")
        for anchor in agent.kernel.table(Anchor).values():
            if anchor.prefix.prefixlen in {32, 64} and not _announced_by(requests, anchor, agent.id):
                raise Broken("left over", f"{agent.name} announces {anchor.prefix}")


def _announced_by(requests: Requests, anchor: Anchor, node: object) -> bool:
    rows = requests.controller.rows
    holder = rows.node_bound.get(anchor.prefix, (None, None))[1]
    return any(
        port.node == node and (holder == port.id or any(address.prefix == anchor.prefix for address in port.addresses))
        for port in rows.ports.values()
    )
