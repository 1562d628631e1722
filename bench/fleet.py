"""`python -m bench.fleet CLOUD`: the agents of all nodes of a cloud in one process, on in-memory kernels.

Each is reached as a real one is: at its own management address, by mutual TLS with its own certificate, with a token.
The API, the reconciler and the admission are the agent's own; its checkpoint is in memory, for a hundred nodes do not
share a disk, and no one compares its kernel every ten seconds, for they do not share a processor either.
"""

from __future__ import annotations

import asyncio
import sys
from typing import cast

import uvicorn

from bench.fabric import Announcements, Echoes, Fabric, Machine
from cloud import state
from cloud.pki import Pki
from cloud.plan import AGENT_PORT, Node, Role
from common import logs
from common.auth import Verifier
from common.serve import MutualTls, listening_socket, server
from common.web import create_app
from dataplane import memory
from dataplane.entries import Anchor
from dataplane.guard import REASONS
from dataplane.nat import VERDICTS
from services.netagent.api import Health, Tokens, router
from services.netagent.checkpoint import MemoryCheckpoint
from services.netagent.observe import EdgeRoutes
from services.netagent.probes import Prober
from services.netagent.reconciler import Reconciler
from services.netagent.render import link_of
from services.netagent.wire import Observed

COUNTS = {Role.HYPERVISOR: REASONS, Role.GATEWAY: VERDICTS, Role.EDGE: ()}


def agent(node: Node, world: memory.World, fabric: Fabric, pki: Pki) -> uvicorn.Server:
    machine = Machine(node, memory.Kernel(node.name, world))
    fabric.machines.append(machine)
    tables = memory.drivers(machine.kernel, link_of)
    drivers = [
        Announcements(machine, fabric) if driver.entry is Anchor else driver for driver in getattr(tables, node.role)
    ]
    edge = node.role is Role.EDGE
    seen = Observed(reverse_path={}, packets=dict.fromkeys(COUNTS[node.role], 0), room=1 << 16)
    api = router(
        Reconciler(node.id, drivers, MemoryCheckpoint()),
        fabric.feed,
        cast("EdgeRoutes", fabric) if edge else None,
        memory.MemoryTraffic(machine.kernel) if node.role is Role.HYPERVISOR else None,
        lambda: seen,
        cast("Prober", Echoes(fabric)),
        None,
        None,
        Tokens(Verifier.from_directory(pki.keys, f"node/{node.id}")),
        Health(name=node.name, node=str(node.id), role=node.role),
    )
    identity = pki.node(node)
    return server(
        create_app("Godwit netagent", [api]),
        MutualTls(identity.certificate, identity.key, pki.controllers.certificate),
    )


async def serve(name: str) -> None:
    plan = state.load(name).plan
    world, fabric = memory.World(), Fabric()
    pki = Pki(plan.paths.pki)
    agents = {node: agent(node, world, fabric, pki) for node in plan.nodes}
    await asyncio.gather(
        *(one.serve(sockets=[listening_socket(f"tcp:{node.management}:{AGENT_PORT}")]) for node, one in agents.items())
    )


if __name__ == "__main__":
    logs.configure("fleet")
    asyncio.run(serve(sys.argv[1]))
