"""A cloud as one text, to be equal before a conversion and after its abort.

It holds ports, bindings, attachments and addresses as the APIs tell them; and, as each node's kernel tells them, the
NAT's mappings, routes with the edge's FIB, permanent neighbours, and rows of guest links. Left out by name: sequence
(the metric of an announcement), revision, generation, times, history, audit, operations, conversion rows, and what is
known of a carried prefix: that it belongs to the ledger by now.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from cloud import rawlog
from cloud.namespaces import CommandFailed
from cloud.site import LocalSite
from cloud.tour.customer import Customer

LEFT_OUT = (
    "sequence",
    "revision",
    "generation",
    "times",
    "history",
    "audit",
    "operations",
    "conversion rows",
    "carried prefixes",
)

_KERNEL = """
import json, struct, subprocess, sys
from pathlib import Path
from dataplane.libbpf import Map
from dataplane.nat import Nat
pins, cache = map(Path, sys.argv[1:])
def ip(*arguments):
    text = subprocess.run(["ip", "-json", *arguments], capture_output=True, text=True, check=True).stdout
    return json.loads(text or "[]")
for family in ("-4", "-6"):
    for row in ip(family, "route", "show", "table", "all"):
        if str(row.get("table")) == "100":
            del row["metric"]
        row.pop("cache", None), row.pop("expires", None)
        row["nexthops"] = sorted(row.get("nexthops", []), key=json.dumps)
        print("route", json.dumps(row, sort_keys=True))
for row in ip("neigh", "show", "nud", "permanent"):
    print("neighbour", json.dumps(row, sort_keys=True))
for name in ("guard_ports", "guard_prefixes", "guard_families", "hostnat_ports"):
    if (pins / "guard" / name).exists():
        rows = Map.pinned(pins / "guard" / name)
        for key in list(rows):
            print(name, key.hex(), rows.lookup(key).hex())
if (pins / "nat").exists():
    nat = Nat(pins, cache)
    for name, table in (("inbound", nat.inbound), ("outbound", nat.outbound)):
        for address, to in table.items():
            print(name, address, to)
"""


def write(site: LocalSite, customer: Customer, project: str, log: Path) -> int:
    """Write the dump of the whole cloud, addresses of `project`; its number of lines. Raises CommandFailed, Refused."""
    with ThreadPoolExecutor(4) as threads:
        kernels = list(threads.map(lambda node: _kernel(site, node), site.nodes()))
    records = sorted(
        {"d " + line for line in (*_told(customer, project), *(line for each in kernels for line in each))}
    )
    rawlog.write(log, "dump", {"left_out": LEFT_OUT}, records)
    return len(records)


def _kernel(site: LocalSite, node: str) -> list[str]:
    pins, cache = str(site.paths.bpf / node), str(site.paths.data / "build")
    done = site.exec(node, [site.python, "-c", _KERNEL, pins, cache])
    if done.returncode:
        raise CommandFailed(f"{node} cannot be read: {done.stderr.strip()}")
    return [f"{node} {line}" for line in done.stdout.splitlines()]


def _told(customer: Customer, project: str) -> Iterator[str]:
    """What the APIs tell."""
    for one in customer.instances():
        yield f"instance {one.name} {one.id} {one.state.value} {one.hypervisor} {one.flavor} {one.zone} {one.project}"
        yield f"port {one.port.id} {one.port.mac} {one.port.mode.value}"
        yield from (f"address {one.port.id} {a.prefix} {a.host} {a.announced}" for a in one.port.addresses)
    for fip in customer.addresses(project):
        if not fip.carried:
            held = fip.attachment.target.id if fip.attachment else None
            yield f"attachment {fip.id} {fip.address} {fip.state.value} {held}"
