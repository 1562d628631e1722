/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* hostnat on a guest's link: a guest that has a private address has a public one outside, 1:1 and without state.
 *
 * IN, towards the guest and before its guard: what is for the port's public address goes on to its private one; what is
 * for the private one already (it came by a gateway) is left. OUT, from the guest and after its guard: what comes from
 * the private address leaves with the public one, unless the peer is private too, or nothing that is routed. So the guard
 * sees the private address in both directions, and the public one needs no row in it.
 *
 * Headers are read and written by the helpers of an skb, for checksums on these links are often partial: what decides is
 * rewrite.h's, on copies. TTL is the kernel's, which forwards.
 */
#ifndef GODWIT_HOSTNAT_H
#define GODWIT_HOSTNAT_H

#include <linux/bpf.h>
#include <linux/if_ether.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "maps.h"
#include "rewrite.h"

#define HOSTNAT_HEADER_BYTES 60 /* of IPv4, with options */

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, __u32); /* ifindex */
	__type(value, struct hostnat_port);
} hostnat_ports SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, __u32); /* ifindex; user space makes the row */
	__type(value, struct hostnat_counts);
} hostnat_counters SEC(".maps");

struct { /* a sample: the longest unseen make room */
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct peer_key);
	__type(value, struct peer_counts);
} private_peers SEC(".maps");

/* 10.0.0.0/8, RFC 1918 */
static __always_inline int is_private(__be32 address)
{
	return (address & bpf_htonl(0xff000000)) == bpf_htonl(0x0a000000);
}

/* Nobody outside knows a guest by its public address there: private peers, link-local, multicast and above. */
static __always_inline int keeps_private(__be32 destination)
{
	__u32 host = bpf_ntohl(destination);

	return is_private(destination) || host >> 16 == 0xa9fe || host >= 0xe0000000;
}

/* The packet that an ICMP error at `at` quotes; the error has `bytes`, its header and all. */
static __always_inline int hostnat_requote(struct __sk_buff *skb, __u32 at, __u32 bytes, const struct rw_ends *ends)
{
	__u32 inner_at = at + RW_ICMP_HEADER, check_at;
	__u16 check, transport = 0;
	struct iphdr inner;
	int quoted;

	if (bytes < RW_ICMP_HEADER + sizeof(inner) || bpf_skb_load_bytes(skb, inner_at, &inner, sizeof(inner)) ||
	    inner.version != 4 || inner.ihl < 5)
		return 0;
	check_at = rw_quoted_checksum_at(&inner);
	quoted = check_at && RW_ICMP_HEADER + check_at + 2 <= bytes;
	if (quoted && bpf_skb_load_bytes(skb, inner_at + check_at, &transport, 2))
		return -1;
	if (bpf_skb_load_bytes(skb, at + 2, &check, 2))
		return -1;
	rw_requote(&inner, quoted ? &transport : 0, &check, ends);
	if (quoted && bpf_skb_store_bytes(skb, inner_at + check_at, &transport, 2, 0))
		return -1;
	return bpf_skb_store_bytes(skb, inner_at, &inner, sizeof(inner), 0) ||
	       bpf_skb_store_bytes(skb, at + 2, &check, 2, 0);
}

/* Gives an IPv4 packet its new source or destination. 0, or why it is dropped. */
static __noinline int hostnat_readdress(struct __sk_buff *skb, __be32 from, __be32 to, int outbound)
{
	__u8 head[HOSTNAT_HEADER_BYTES + 8] = {}, transport[20] = {};
	struct iphdr *ip = (struct iphdr *)head;
	__u32 header, total, bytes, options, fragment, check_at, at, flags;
	struct rw_ends ends;

	if (bpf_skb_load_bytes(skb, ETH_HLEN, head, sizeof(*ip)))
		return GUARD_DROPPED_LENGTH;
	header = ip->ihl * 4u;
	total = bpf_ntohs(ip->tot_len);
	if (ip->version != 4 || header < sizeof(*ip) || total < header || total + ETH_HLEN > skb->len)
		return GUARD_DROPPED_LENGTH;
	options = (header - sizeof(*ip)) & 63;
	if (options > 0 && options <= HOSTNAT_HEADER_BYTES - sizeof(*ip)) {
		if (bpf_skb_load_bytes(skb, ETH_HLEN + sizeof(*ip), head + sizeof(*ip), options))
			return GUARD_DROPPED_LENGTH;
		switch (rw_options(head, head + sizeof(head), header)) {
		case RW_REWRITTEN:
			break;
		case RW_DROPPED_SOURCE_ROUTE:
			return GUARD_DROPPED_SOURCE_ROUTE;
		default:
			return GUARD_DROPPED_LENGTH;
		}
	}
	at = ETH_HLEN + header;
	bytes = total - header;
	fragment = bpf_ntohs(ip->frag_off) & (RW_FRAGMENT_OFFSET | RW_FRAGMENT_MORE);
	ends.source = ends.to_source = ip->saddr;
	ends.destination = ends.to_destination = ip->daddr;
	if (outbound)
		ends.to_source = to;
	else
		ends.to_destination = to;
	if (!(fragment & RW_FRAGMENT_OFFSET)) {
		check_at = rw_checksum_at(ip->protocol);
		if (ip->protocol == IPPROTO_TCP) {
			if (bytes < 20 || bpf_skb_load_bytes(skb, at, transport, 20))
				return GUARD_DROPPED_LENGTH;
		} else if (check_at || ip->protocol == IPPROTO_ICMP) {
			if (bytes < 8 || bpf_skb_load_bytes(skb, at, transport, 8))
				return GUARD_DROPPED_LENGTH;
		}
		if (rw_transport_claims(ip->protocol, transport, bytes, fragment) != RW_REWRITTEN)
			return GUARD_DROPPED_LENGTH;
		if (check_at) {
			/* UDP's 0 means none, and a sum of 0 is stored as 0xffff (RFC 768) */
			flags = BPF_F_PSEUDO_HDR | 4 | (ip->protocol == IPPROTO_TCP ? 0 : BPF_F_MARK_MANGLED_0);
			if (bpf_l4_csum_replace(skb, at + check_at, from, to, flags))
				return GUARD_DROPPED_REWRITE;
		} else if (ip->protocol == IPPROTO_ICMP && rw_is_icmp_error(transport[0])) {
			if (hostnat_requote(skb, at, bytes, &ends))
				return GUARD_DROPPED_REWRITE;
		}
	}
	at = ETH_HLEN + (outbound ? offsetof(struct iphdr, saddr) : offsetof(struct iphdr, daddr));
	if (bpf_l3_csum_replace(skb, ETH_HLEN + offsetof(struct iphdr, check), from, to, 4) ||
	    bpf_skb_store_bytes(skb, at, &to, sizeof(to), 0))
		return GUARD_DROPPED_REWRITE;
	return 0;
}

static __always_inline __u64 hostnat_packets(const struct __sk_buff *skb)
{
	return skb->gso_segs ? skb->gso_segs : 1;
}

/* IN. 0: go on to the guard; else why the packet is dropped. */
static __always_inline int hostnat_in(struct __sk_buff *skb, __u32 ifindex, const struct iphdr *ip)
{
	struct hostnat_port *port = bpf_map_lookup_elem(&hostnat_ports, &ifindex);
	struct hostnat_counts *counts;
	int reason;

	if (!port || !port->inbound || ip->daddr != port->public_address)
		return 0;
	reason = hostnat_readdress(skb, port->public_address, port->private_address, 0);
	if (reason)
		return reason;
	counts = bpf_map_lookup_elem(&hostnat_counters, &ifindex);
	if (counts) {
		counts->inbound_packets += hostnat_packets(skb);
		counts->inbound_bytes += bpf_ntohs(ip->tot_len);
	}
	return 0;
}

/* OUT. 0: the packet leaves; else why it is dropped. */
static __always_inline int hostnat_out(struct __sk_buff *skb, __u32 ifindex, const struct iphdr *ip)
{
	struct hostnat_port *port = bpf_map_lookup_elem(&hostnat_ports, &ifindex);
	struct hostnat_counts *counts;
	int reason;

	if (!port || !port->outbound || ip->saddr != port->private_address || keeps_private(ip->daddr))
		return 0;
	reason = hostnat_readdress(skb, port->private_address, port->public_address, 1);
	if (reason)
		return reason;
	counts = bpf_map_lookup_elem(&hostnat_counters, &ifindex);
	if (counts) {
		counts->outbound_packets += hostnat_packets(skb);
		counts->outbound_bytes += bpf_ntohs(ip->tot_len);
	}
	return 0;
}

/* Remember a private peer of a guest at its private address. */
static __always_inline void note_peer(__u32 ifindex, __be32 guest, __be32 peer, int sent)
{
	struct peer_key key = {ifindex, peer};
	struct peer_counts *known, first = {};

	if (!is_private(guest) || !is_private(peer))
		return;
	known = bpf_map_lookup_elem(&private_peers, &key);
	if (!known) {
		bpf_map_update_elem(&private_peers, &key, &first, BPF_NOEXIST);
		known = bpf_map_lookup_elem(&private_peers, &key);
		if (!known)
			return;
	}
	__sync_fetch_and_add(sent ? &known->sent : &known->received, 1);
	known->seen_ns = bpf_ktime_get_ns();
}

#endif
