"""`godwit hypervisor`: the nodes that instances run on."""

from __future__ import annotations

from godwit_client.placement.models import NodeRole

from cli.commands import node

app = node.group(NodeRole.HYPERVISOR, "The machines that instances run on.")
