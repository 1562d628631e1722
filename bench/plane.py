"""A cloud whose nodes are in memory: a local cloud's control processes, PostgreSQL and Redis, beside `bench.fleet`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from cloud import bootstrap, manifest, namespaces, operations, processes, state, teardown
from cloud.control import Supervision
from cloud.manifest import Manifest, Process
from cloud.namespaces import run
from cloud.pki import Pki
from cloud.plan import Plan, Stack
from cloud.postgres import Postgres
from cloud.redis import Redis
from cloud.state import State

FLEET = "fleet"


@contextmanager
def running(name: str, hypervisors: int, gateways: int = 2) -> Iterator[State]:
    """Made anew, every node registered and up; removed with all its data in the end. Raises DomainError."""
    plan = Plan(name, hypervisors, gateways)
    operations.require_root("up", name)
    operations.require_tools()
    with teardown.exclusively(name):
        teardown.remove(name, keep_data=False, progress=operations.silent)
        try:
            current = state.create(plan, Stack.NAT)
            state.save(current)
            _start(current)
            yield current
        finally:
            teardown.remove(name, keep_data=False, progress=operations.silent)


def _start(current: State) -> None:
    plan, paths = current.plan, current.plan.paths
    for directory in (paths.run, paths.data, paths.log, paths.run / "tmp"):
        directory.mkdir(parents=True, exist_ok=True)
    namespaces.ensure(plan.control)
    with namespaces.entered(plan.control):
        run(["ip", "link", "set", "lo", "up"])
        run(["ip", "route", "add", "local", str(plan.management), "dev", "lo"])
        run(["sysctl", "-qw", "net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.lo.rp_filter=0"])
    Pki(paths.pki).ensure(plan)
    Postgres.of(paths).initialise()
    Redis.of(paths, current.broker_password).initialise()
    fleet = Process(
        FLEET,
        processes.inside(plan.control, [sys.executable, "-m", "bench.fleet", plan.name]),
        processes.python_environment(paths),
        stage=processes.MACHINES,
    )
    everything = (*processes.stores(current), fleet, *processes.control(current))
    manifest.save(Manifest(paths.run, paths.log, everything, dict(current.ports)))
    supervision = Supervision(paths)
    supervision.launch()
    operations.start_stores(current, supervision)
    operations.migrate_schemas(current)
    supervision.start([process.name for process in everything])
    operations.wait_for_services(current)
    bootstrap.register(current.apis, plan, current.stack, operator(current))
    bootstrap.wait_until_up(current.apis, operator(current), str(plan.paths.log))


def operator(current: State) -> str:
    """A token."""
    return operations.token(current.name, roles=("operator",))
