"""What nobody should do to a gateway: changes its tables behind its agent's back, which mends them when it compares."""

from __future__ import annotations

from cloud.namespaces import CommandFailed
from cloud.site import LocalSite

_CHANGE = """
import sys
from ipaddress import IPv4Address
from pathlib import Path
from dataplane.entries import Inbound, Outbound
from dataplane.nat import Nat, NatInbound, NatOutbound
verb, pins, cache, public, private = sys.argv[1:]
nat = Nat(Path(pins), Path(cache))
inbound, outbound = NatInbound(nat), NatOutbound(nat)
row = Inbound(IPv4Address(public), IPv4Address(private))
if verb == "put":
    inbound.put(row)
    assert inbound.observe([row.public])[row.public] == row
else:
    inbound.drop(row)
    outbound.drop(Outbound(row.private, row.public))
"""


def flip(site: LocalSite, gateway: str, public: str, private: str) -> None:
    """Packets to `public` go to `private` from now on. Raises CommandFailed."""
    _change(site, gateway, "put", public, private)


def take_off(site: LocalSite, gateway: str, public: str, private: str) -> None:
    """The mapping between the two is gone, both ways. Raises CommandFailed."""
    _change(site, gateway, "drop", public, private)


def _change(site: LocalSite, gateway: str, *verb_and_addresses: str) -> None:
    verb, *addresses = verb_and_addresses
    pins, cache = str(site.paths.bpf / gateway), str(site.paths.data / "build")
    done = site.exec(gateway, [site.python, "-c", _CHANGE, verb, pins, cache, *addresses])
    if done.returncode:
        raise CommandFailed(f"the tables of {gateway} could not be changed: {done.stderr.strip()}")
