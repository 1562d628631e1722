"""`python -m cloud.compose.machine PLACE`: the main process of a container that is a node, `internet` or `guests`.

It makes of the container's network namespace what the plan says, as an operator would set up a machine, and then
becomes the supervisor of what runs there. A restarted container goes the same way: like a rebooted machine it has
nothing but its disk.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

from cloud import bird, fabric, manifest, processes
from cloud.baseline import machines
from cloud.compose.layout import GUEST_SOCKET, GUESTS, INTERNET, PATHS, PLAN, PROGRAMS, SECRETS, links
from cloud.manifest import Manifest, Process
from cloud.namespaces import run
from cloud.pki import Pki
from cloud.plan import Role
from common.errors import DomainError

CAP_BPF = 39


class LinkMissing(DomainError):
    """The engine did not give the container a link that the plan has."""

    code = "compose.link_missing"


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit("usage: python -m cloud.compose.machine PLACE")
    place = sys.argv[1]
    try:
        _open_sysctls()
        for directory in (PATHS.bird, PATHS.run / "tmp", PATHS.guests):
            directory.mkdir(parents=True, exist_ok=True)
        if place != GUESTS:
            _set_up_network(place)
        manifest.save(Manifest(PATHS.run, None, tuple(_processes(place)), at_once=True))
    except (DomainError, OSError) as error:
        sys.exit(f"{place}: {error}")
    os.execv(sys.executable, [sys.executable, "-m", "cloud.supervisor", str(PATHS.run)])  # noqa: S606


def _open_sysctls() -> None:
    """A container finds /proc/sys read-only; what belongs to network namespaces is the machine's own to set."""
    run(["mount", "--bind", "/proc/sys/net", "/proc/sys/net"])
    run(["mount", "-o", "remount,bind,rw", "/proc/sys/net"])


def _set_up_network(place: str) -> None:
    _rename(links(place))
    for family in ("-4", "-6"):  # the engine's own, which would leak into BGP
        while run(["ip", family, "route", "show", "default"]):
            run(["ip", family, "route", "delete", "default"])
    namespace = PLAN.namespace(place)
    fabric.configure_here(next(machine for machine in machines(PLAN) if machine.namespace == namespace))


def _rename(wanted: Mapping[IPv4Address, str]) -> None:
    """Give the engine's links the plan's names, and take their addresses away: the plan's are of another length."""
    rows = json.loads(run(["ip", "-json", "-4", "address"]))
    found = {IPv4Address(address["local"]): row["ifname"] for row in rows for address in row["addr_info"]}
    for address, name in wanted.items():
        if address not in found:
            raise LinkMissing(f"no link has {address}, which makes {name}")
        if found[address] != name:
            run(["ip", "link", "set", found[address], "down"])
            run(["ip", "link", "set", found[address], "name", name])
            # The engine's bridge may send our own question back, and the address would count as taken.
            for setting in ("accept_dad", "dad_transmits"):
                Path(f"/proc/sys/net/ipv6/conf/{name}/{setting}").write_text("0")
        run(["ip", "address", "flush", "dev", name, "scope", "global"])


def _processes(place: str) -> list[Process]:
    if place == INTERNET:
        return []
    if place == GUESTS:
        return [_with(processes.guest_helper(PATHS, tuple), GODWIT_GUESTS_SOCKET=str(GUEST_SOCKET))]
    node = PLAN.node(place)
    (PATHS.bird / f"{node.name}.conf").write_text(bird.configuration(PLAN, node))
    (PATHS.data / "nodes" / node.name).mkdir(parents=True, exist_ok=True)
    agent_inside: processes.Placed = _unprivileged
    if node.role is not Role.EDGE:
        PATHS.bpf.mkdir(exist_ok=True)
        if not os.path.ismount(PATHS.bpf):
            run(["mount", "-t", "bpf", "-o", "mode=0700", "godwit", str(PATHS.bpf)])
        (PATHS.bpf / node.name).mkdir(exist_ok=True)
        if not _holds(CAP_BPF):  # an engine too old to know it: the kernel then asks for SYS_ADMIN
            agent_inside = tuple
    agent = processes.agent(PLAN, node, PATHS, Pki(SECRETS), agent_inside)
    paths = {"BUILD_DIRECTORY": PROGRAMS, "GUEST_SOCKET": GUEST_SOCKET}
    return [
        processes.routing_daemon(node, PATHS, _unprivileged),
        _with(agent, **{f"GODWIT_NETAGENT_{name}": str(path) for name, path in paths.items()}),
    ]


def _unprivileged(argv: list[str]) -> tuple[str, ...]:
    """Without the right to administer the machine, which only making mounts and namespaces asks for."""
    return ("setpriv", "--bounding-set=-sys_admin", "--", *argv)


def _holds(capability: int) -> bool:
    status = Path("/proc/self/status").read_text()
    effective = next(line.split()[1] for line in status.splitlines() if line.startswith("CapEff:"))
    return bool(int(effective, 16) >> capability & 1)


def _with(process: Process, **environment: str) -> Process:
    return replace(process, environment={**process.environment, **environment})


if __name__ == "__main__":
    main()
