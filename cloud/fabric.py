"""Builds, heals and removes the fabric: namespaces, links, addresses, static routes, rules and filters."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

from cloud import namespaces
from cloud.baseline import CUT_TABLE, Machine, Veth, machines
from cloud.namespaces import entered, run
from cloud.plan import Node, Plan

FENCED = "godwit fence"  # how the alias of a link begins that the edge's agent holds down
_PARTS = r"(control|internet|(z\d+-)?(edge|gateway-\d+|hypervisor-\d+))"


def build(plan: Plan) -> None:
    """Make what is missing and put right what was altered; what is right is not touched, so traffic goes on.

    Cuts are healed. Raises CommandFailed.
    """
    wanted = machines(plan)
    fresh = {machine.namespace for machine in wanted if namespaces.ensure(machine.namespace)}
    for machine in wanted:
        with entered(machine.namespace):
            _write_sysctls(machine.sysctls)
    for machine in wanted:
        _make_links(machine, fresh)
    for machine in wanted:
        with entered(machine.namespace):
            _configure(machine, observe=machine.namespace not in fresh)


def configure_here(machine: Machine) -> None:
    """Make the namespace we are in what `machine` says, whose links to others are there. Raises CommandFailed."""
    _write_sysctls(machine.sysctls)
    have = _links()
    _batch([f"link add {name} {arguments}" for name, arguments in machine.devices if name not in have])
    _configure(machine, observe=True)


def remove(name: str) -> list[str]:
    """Remove the namespaces of cloud `name` with all their links, however many there are. Returns their names."""
    found = present(name)
    for namespace in found:
        if namespaces.exists(namespace):
            veths = [link for link in _links(namespace) if link != "lo"]
            run(["ip", "-netns", namespace, "-force", "-batch", "-"], "".join(f"link delete {x}\n" for x in veths))
    for namespace in found:
        namespaces.remove(namespace)
    return found


def present(name: str) -> list[str]:
    """Namespaces of cloud `name` that exist, whole or half-made; others that merely start alike are not its own."""
    pattern = re.compile(rf"{re.escape(name)}-{_PARTS}")
    if not namespaces.ROOT.is_dir():
        return []
    return sorted(entry.name for entry in namespaces.ROOT.iterdir() if pattern.fullmatch(entry.name))


def cut_fabric(plan: Plan, node: Node) -> None:
    """Silently drop everything to and from the node at the edge; the links keep their carrier."""
    _change_cut(plan, node, "add")


def heal_fabric(plan: Plan, node: Node) -> None:
    """Healing what is not cut is no error."""
    _change_cut(plan, node, "add")  # deleting a missing element is an error: adding first makes it idempotent
    _change_cut(plan, node, "delete")


def cut_management(plan: Plan, node: Node) -> None:
    run(["ip", "-netns", plan.control, "link", "set", node.management_port, "down"])


def heal_management(plan: Plan, node: Node) -> None:
    run(["ip", "-netns", plan.control, "link", "set", node.management_port, "up"])


def cut_elements(plan: Plan, node: Node, verb: str) -> str:
    """What nft is told at the edge, to `add` the node's links to those that are cut, or to `delete` them."""
    # The edge's own links are its whole zone's: cutting it cuts all of that, the internet included.
    zone = plan.zone(node.zone)
    links = [link.edge_name for link in node.links] or [
        zone.uplink.edge_name,
        *(link.edge_name for other in zone.nodes for link in other.links),
    ]
    elements = ", ".join(f'"{link}"' for link in links)
    return f"{verb} element inet {CUT_TABLE} links {{ {elements} }}"


def _change_cut(plan: Plan, node: Node, verb: str) -> None:
    with entered(plan.zone(node.zone).edge.namespace):
        run(["nft", cut_elements(plan, node, verb)])


def _links(namespace: str = "") -> dict[str, str]:
    """The links of a namespace, or of the one we are in, with their aliases."""
    rows = json.loads(run(["ip", *(["-netns", namespace] if namespace else []), "-json", "link"]) or "[]")
    return {row["ifname"]: row.get("ifalias", "") for row in rows}


def _write_sysctls(values: tuple[tuple[str, str], ...]) -> None:
    for key, value in values:
        Path("/proc/sys", *key.split(".")).write_text(value)


def _make_links(machine: Machine, fresh: set[str]) -> None:
    have = {} if machine.namespace in fresh else _links(machine.namespace)
    lines = [f"link add {name} {arguments}" for name, arguments in machine.devices if name not in have]
    for veth in machine.links:
        whole = veth.name in have and veth.peer_namespace not in fresh and veth.peer in _links(veth.peer_namespace)
        if not whole:
            lines += _remake(veth, stale=veth.name in have)
    if lines:
        run(["ip", "-netns", machine.namespace, "-batch", "-"], "\n".join(lines) + "\n")


def _remake(veth: Veth, *, stale: bool) -> list[str]:
    add = (
        f"link add {veth.name} mtu {veth.mtu} type veth "
        f"peer name {veth.peer} mtu {veth.mtu} netns {veth.peer_namespace}"
    )
    return [f"link delete {veth.name}", add] if stale else [add]


def _configure(machine: Machine, *, observe: bool) -> None:
    rules = machine.rules
    if observe:
        present_rules = {_rule_key(row, family) for family in (4, 6) for row in _rules(family)}
        rules = tuple(rule for rule in rules if (rule.family, rule.priority) not in present_rules)
    links = _links() if observe else {}
    fenced = {f"link set {name} up" for name, alias in links.items() if alias.startswith(FENCED)}
    _batch([line for line in machine.commands if line not in fenced])
    for family in (4, 6):
        _batch([rule.command for rule in rules if rule.family == family], f"-{family}")
    _write_sysctls(machine.link_sysctls)
    for link in machine.checksummed:
        run(["ethtool", "-K", link, "tx", "off", "gro", "on"])
    if machine.nft:
        run(["nft", "-f", "-"], machine.nft)


def _batch(lines: Sequence[str], *options: str) -> None:
    if lines:
        run(["ip", *options, "-batch", "-"], "\n".join(lines) + "\n")


def _rules(family: int) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = json.loads(run(["ip", f"-{family}", "-json", "rule"]) or "[]")
    return rows


def _rule_key(row: dict[str, object], family: int) -> tuple[int, object]:
    return (family, row["priority"])
