"""`python -m cloud.host`: tries in its own network and mount namespaces what agents need of a kernel.

A line for each feature that is missing: its name, a tab, why. Whoever starts it makes the namespaces (unshare).
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from cloud.namespaces import CommandFailed, run
from services.netagent import preflight

TRIED = {
    "clsact": ["tc", "qdisc", "add", "dev", "tried", "clsact"],
    "vxlan": ["ip", "link", "add", "tried-vxlan", "type", "vxlan", "id", "1", "dstport", "4789", "dev", "tried"],
    "nftables": ["nft", "add", "table", "inet", "tried"],
}


def missing() -> Iterator[tuple[str, str]]:
    run(["ip", "link", "add", "tried", "type", "veth", "peer", "name", "tried-peer"])
    for feature, argv in TRIED.items():
        try:
            run(argv)
        except CommandFailed as error:
            yield feature, error.message
    with tempfile.TemporaryDirectory() as folder:
        pins, cache = Path(folder) / "pins", Path(folder) / "cache"
        pins.mkdir()
        cache.mkdir()
        try:
            run(["mount", "-t", "bpf", "bpf", str(pins)])
        except CommandFailed as error:
            yield "bpffs", error.message
            return
        refused = preflight.refusal(pins, cache)
        run(["umount", str(pins)])
        if refused:
            yield "bpf", refused


def main() -> None:
    for feature, why in missing():
        print(feature, why, sep="\t")


if __name__ == "__main__":
    main()
