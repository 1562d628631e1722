"""What the loader does when the kernel refuses."""

from __future__ import annotations

import sys
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

COUNTING = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, REASONS);
	__type(key, __u32);
	__type(value, __u64);
} counting SEC(".maps");
SEC("xdp") int count(struct xdp_md *ctx)
{
	__u32 zero = 0;
	__u64 *packets = bpf_map_lookup_elem(&counting, &zero);
	if (packets && ctx)
		*packets += 1;
	return XDP_PASS;
}
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


def test_a_build_that_counts_more_begins_anew_and_another_keeps_its_counts(tmp_path: Path) -> None:
    source = tmp_path / "counting.bpf.c"
    source.write_text(COUNTING)
    few, many = (
        build.compiled(source, tmp_path / "cache", (*build.PROGRAM, f"-DREASONS={number}"), ".o") for number in (2, 3)
    )
    one, none = (count.to_bytes(8, sys.byteorder) * libbpf.possible_cpus() for count in (1, 0))
    with bpffs(tmp_path / "bpf") as pins:
        for compiled, written, found in ((few, one, none), (few, none, one), (many, one, none)):
            loaded = libbpf.Object(compiled, pins, counters=["counting"])
            counting = libbpf.Map.pinned(pins / "counting")
            assert counting.lookup(bytes(4), libbpf.possible_cpus()) == found
            counting.update(bytes(4), written)
            loaded.close()
        assert counting.max_entries == 3
