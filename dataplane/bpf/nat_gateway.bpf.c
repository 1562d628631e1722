// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* 1:1 NAT on a gateway's two links. The direction is the link's role, which is the program attached to it: never what
 * a table happens to hold, or a hairpinned packet would leave with a private source.
 *
 * A rewritten packet is passed to the kernel, which routes it and decrements its TTL.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>

#include <bpf/bpf_helpers.h>

#include "maps.h"
#include "rewrite.h"

#define TEN 10 /* 10.0.0.0/8, RFC 1918 */

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct nat_l1);
} inbound_l1 SEC(".maps"), outbound_l1 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1); /* user space says how many before it loads */
	__type(key, __u32);
	__type(value, struct nat_leaf);
} inbound_leaves SEC(".maps"), outbound_leaves SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, RW_VERDICTS);
	__type(key, __u32);
	__type(value, __u64);
} nat_counters SEC(".maps");

static __noinline __be32 answer(void *l1_map, void *leaves, __be32 address)
{
	__u32 host = rw_swap32(address), zero = 0, index;
	struct nat_l1 *l1 = bpf_map_lookup_elem(l1_map, &zero);
	struct nat_leaf *leaf;

	if (!l1)
		return RW_UNTOUCHED;
	index = l1->leaf[host >> 16];
	if (!index)
		return RW_UNTOUCHED;
	index--;
	leaf = bpf_map_lookup_elem(leaves, &index);
	return leaf ? leaf->to[host & 0xffff] : RW_UNTOUCHED;
}

static __always_inline int counted(__u32 verdict)
{
	__u64 *packets = bpf_map_lookup_elem(&nat_counters, &verdict);

	if (packets)
		*packets += 1;
	return verdict < RW_DROPPED_MISS_PUBLIC ? XDP_PASS : XDP_DROP;
}

/* A cut IPv4 header is one too, and is dropped. */
static __always_inline int is_ipv4(void *data, void *end)
{
	struct ethhdr *eth = data;

	return (void *)(eth + 1) <= end && eth->h_proto == rw_swap16(ETH_P_IP);
}

SEC("xdp")
int nat_public(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct iphdr *ip = data + sizeof(struct ethhdr);

	if (!is_ipv4(data, end))
		return counted(RW_PASSED_OTHER);
	if ((void *)(ip + 1) > end)
		return counted(RW_DROPPED_LENGTH);
	return counted(rw_from_public(ip, end, answer(&inbound_l1, &inbound_leaves, ip->daddr)));
}

SEC("xdp")
int nat_private(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct iphdr *ip = data + sizeof(struct ethhdr);

	if (!is_ipv4(data, end))
		return counted(RW_PASSED_OTHER);
	if ((void *)(ip + 1) > end)
		return counted(RW_DROPPED_LENGTH);
	if (rw_swap32(ip->saddr) >> 24 != TEN)
		return counted(RW_PASSED_OWN);
	return counted(rw_from_private(ip, end, answer(&outbound_l1, &outbound_leaves, ip->saddr),
				       answer(&inbound_l1, &inbound_leaves, ip->daddr)));
}

char _license[] SEC("license") = "Dual BSD/GPL";
