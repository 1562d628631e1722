"""What the loader does when the kernel refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from dataplane import libbpf
from dataplane.bpf import build
from tests.kernel.rig import bpffs, needs_root

pytestmark = needs_root

BEYOND = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
SEC("xdp") int beyond(struct xdp_md *ctx) { return *(char *)(long)ctx->data; }
char _license[] SEC("license") = "GPL";
"""


def test_a_program_that_the_verifier_refuses_tells_why(tmp_path: Path) -> None:
    source = tmp_path / "beyond.bpf.c"
    source.write_text(BEYOND)
    compiled = build.compiled(source, tmp_path / "cache", build.PROGRAM, ".o")

    with bpffs(tmp_path / "bpf") as pins, pytest.raises(libbpf.BpfError, match="invalid access to packet"):
        libbpf.Object(compiled, pins)


def test_pins_need_a_bpffs(tmp_path: Path) -> None:
    compiled = build.program("nat_gateway", tmp_path / "cache")

    with pytest.raises(libbpf.BpfError):
        libbpf.Object(compiled, tmp_path / "no-bpffs", {"inbound_leaves": 1, "outbound_leaves": 1})
    assert list((tmp_path / "no-bpffs").iterdir()) == []
