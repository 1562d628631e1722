// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Anti-spoofing guard on a guest's link, clsact in both directions. Fail closed: what is not allowed is dropped, and a
 * link without a row in guard_ports passes nothing. Outside of it lies hostnat (hostnat.h), if the port has it.
 *
 * Headers are read by bpf_skb_load_bytes, so nothing depends on how a frame lies in memory. Addresses in network byte
 * order. `from_guest` runs where the guest's frames come in, `to_guest` where ours leave.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/ip.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "hostnat.h"
#include "maps.h"

#define GATEWAY bpf_htonl(0xa9fe0001) /* 169.254.0.1: the guest's on-link gateway, on every hypervisor */
#define FRAGMENT_OFFSET 0x1fff
#define FRAGMENT_MORE 0x2000
#define ARPHRD_ETHER 1
#define EXTENSION_HEADERS 6

#define TCP_FIN 0x01 /* RFC 9293 */
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_ACK 0x10

#define ICMP_ECHO_REPLY 0 /* RFC 792 */
#define ICMP6_ECHO_REPLY 129 /* RFC 4443 */
#define ICMP6_ROUTER_SOLICIT 133 /* RFC 4861 */
#define ICMP6_NEIGHBOUR_SOLICIT 135
#define ICMP6_NEIGHBOUR_ADVERT 136
#define ICMP6_REDIRECT 137

struct guard_ip6 {
	__be32 words[4];
};

struct ip6_header { /* RFC 8200 section 3 */
	__be32 flow;
	__be16 payload;
	__u8 next;
	__u8 hops;
	struct guard_ip6 source, destination;
};

struct arp_frame { /* RFC 826, for Ethernet and IPv4 */
	__be16 hardware, protocol;
	__u8 hardware_bytes, protocol_bytes;
	__be16 operation;
	__u8 sender_mac[6];
	__u8 sender[4];
	__u8 target_mac[6];
	__u8 target[4];
};

struct neighbour { /* RFC 4861 section 4.3, 4.4 */
	__u8 type, code;
	__be16 checksum;
	__be32 flags;
	struct guard_ip6 target;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, __u32); /* ifindex */
	__type(value, struct guard_port);
} guard_ports SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1048576);
	__type(key, struct guard_prefix);
	__type(value, __u32);
} guard_prefixes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 131072);
	__type(key, struct guard_family);
	__type(value, __u32);
} guard_families SEC(".maps");

struct { /* the hosts' own prefixes, by enum guard_host; `ifindex` is 0 */
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 4096);
	__type(key, struct guard_prefix);
	__type(value, __u32);
} guard_hosts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, GUARD_REASONS);
	__type(key, __u32);
	__type(value, __u64);
} guard_counters SEC(".maps");

static __always_inline int counted(__u32 reason)
{
	__u64 *frames = bpf_map_lookup_elem(&guard_counters, &reason);

	if (frames)
		*frames += 1;
	/* unspecified: what else is attached to the link has its turn */
	return reason < GUARD_DROPPED_NO_PORT ? TC_ACT_UNSPEC : TC_ACT_SHOT;
}

/* The value of the longest prefix that covers an address. */
static __always_inline __u32 *within4(void *map, __u32 ifindex, __be32 address)
{
	struct guard_prefix key = {.bits = 64 + 32, .ifindex = ifindex, .family = 4};

	__builtin_memcpy(key.address, &address, 4);
	return bpf_map_lookup_elem(map, &key);
}

static __always_inline __u32 *within6(void *map, __u32 ifindex, const struct guard_ip6 *address)
{
	struct guard_prefix key = {.bits = 64 + 128, .ifindex = ifindex, .family = 6};

	__builtin_memcpy(key.address, address, 16);
	return bpf_map_lookup_elem(map, &key);
}

static __always_inline int holds(__u32 ifindex, __u32 family)
{
	struct guard_family key = {.ifindex = ifindex, .family = family};
	__u32 *prefixes = bpf_map_lookup_elem(&guard_families, &key);

	return prefixes && *prefixes;
}

static __always_inline int same_mac(const __u8 *a, const __u8 *b)
{
	for (int i = 0; i < 6; i++)
		if (a[i] != b[i])
			return 0;
	return 1;
}

static __always_inline int is_zero6(const struct guard_ip6 *a)
{
	return !(a->words[0] | a->words[1] | a->words[2] | a->words[3]);
}

/* Unicast that routers forward: not of this network, loopback, link-local, multicast or above (RFC 6890) */
static __always_inline int is_routed4(__be32 address)
{
	__u32 host = bpf_ntohl(address);

	return host >> 24 != 0 && host >> 24 != 127 && host >> 16 != 0xa9fe && host >> 28 < 0xe;
}

/* fe80::/10, RFC 4291 section 2.5.6 */
static __always_inline int is_link_local6(const struct guard_ip6 *a)
{
	return (a->words[0] & bpf_htonl(0xffc00000)) == bpf_htonl(0xfe800000);
}

/* ff00::/8, RFC 4291 section 2.7 */
static __always_inline int is_multicast6(const struct guard_ip6 *a)
{
	return (a->words[0] & bpf_htonl(0xff000000)) == bpf_htonl(0xff000000);
}

/* fe80::1, the guest's on-link gateway */
static __always_inline int is_gateway6(const struct guard_ip6 *a)
{
	return a->words[0] == bpf_htonl(0xfe800000) && !a->words[1] && !a->words[2] && a->words[3] == bpf_htonl(1);
}

/* The solicited-node multicast address of `target`, RFC 4291 section 2.7.1 */
static __always_inline int is_solicited_node(const struct guard_ip6 *a, const struct guard_ip6 *target)
{
	return a->words[0] == bpf_htonl(0xff020000) && !a->words[1] && a->words[2] == bpf_htonl(1) &&
	       a->words[3] == (bpf_htonl(0xff000000) | (target->words[3] & bpf_htonl(0x00ffffff)));
}

/* The link-local address that a port's MAC makes, RFC 4291 appendix A */
static __always_inline int is_own_link_local(const struct guard_ip6 *a, const struct guard_port *port)
{
	const __u8 *m = port->mac;

	return a->words[0] == bpf_htonl(0xfe800000) && !a->words[1] &&
	       a->words[2] == bpf_htonl((__u32)(m[0] ^ 2) << 24 | m[1] << 16 | m[2] << 8 | 0xff) &&
	       a->words[3] == bpf_htonl(0xfe000000 | m[3] << 16 | m[4] << 8 | m[5]);
}

static __always_inline int is_tagged(struct __sk_buff *skb, __be16 ethertype)
{
	return skb->vlan_present || ethertype == bpf_htons(ETH_P_8021Q) || ethertype == bpf_htons(ETH_P_8021AD);
}

static __always_inline int arp_from_guest(struct __sk_buff *skb, const struct guard_port *port)
{
	struct arp_frame arp;
	__be32 sender, target;

	if (!holds(skb->ifindex, 4))
		return GUARD_DROPPED_NO_ADDRESS;
	if (bpf_skb_load_bytes(skb, ETH_HLEN, &arp, sizeof(arp)))
		return GUARD_DROPPED_LENGTH;
	__builtin_memcpy(&sender, arp.sender, 4);
	__builtin_memcpy(&target, arp.target, 4);
	if (arp.hardware != bpf_htons(ARPHRD_ETHER) || arp.protocol != bpf_htons(ETH_P_IP) || arp.hardware_bytes != 6 ||
	    arp.protocol_bytes != 4 || !same_mac(arp.sender_mac, port->mac) || target != GATEWAY)
		return GUARD_DROPPED_ARP;
	/* 0.0.0.0 asks without saying who (RFC 5227) */
	return sender && !within4(&guard_prefixes, skb->ifindex, sender) ? GUARD_DROPPED_ARP : GUARD_PASSED_FROM_GUEST;
}

/* Whether the TCP segment `at`, which ends the packet of `end` bytes, accepts a connection: SYN and ACK, and no data. */
static __always_inline int is_accepted(struct __sk_buff *skb, __u32 at, __u32 end)
{
	__u8 head[2]; /* data offset and flags, RFC 9293 section 3.1 */

	return !bpf_skb_load_bytes(skb, at + 12, head, sizeof(head)) && at + (head[0] >> 4) * 4 == end &&
	       (head[1] & (TCP_FIN | TCP_SYN | TCP_RST | TCP_ACK)) == (TCP_SYN | TCP_ACK);
}

/* What a guest may say to where health checks come from. */
static __always_inline int is_answer4(struct __sk_buff *skb, const struct iphdr *ip)
{
	__u32 at = ETH_HLEN + ip->ihl * 4;
	__u8 type;

	if (bpf_ntohs(ip->frag_off) & (FRAGMENT_OFFSET | FRAGMENT_MORE))
		return 0;
	if (ip->protocol == IPPROTO_TCP)
		return is_accepted(skb, at, ETH_HLEN + bpf_ntohs(ip->tot_len));
	return ip->protocol == IPPROTO_ICMP && !bpf_skb_load_bytes(skb, at, &type, 1) && type == ICMP_ECHO_REPLY;
}

static __always_inline int ip4_from_guest(struct __sk_buff *skb, int group)
{
	struct iphdr ip;
	__u32 *held;
	__be16 port;
	int reason;

	if (bpf_skb_load_bytes(skb, ETH_HLEN, &ip, sizeof(ip)))
		return GUARD_DROPPED_LENGTH;
	if (ip.version != 4 || ip.ihl < 5 || bpf_ntohs(ip.tot_len) < ip.ihl * 4 ||
	    (__u32)bpf_ntohs(ip.tot_len) + ETH_HLEN > skb->len)
		return GUARD_DROPPED_LENGTH;
	/* before the source, so that a guest asking for a lease is not counted as one that lies */
	if (ip.protocol == IPPROTO_UDP && !(bpf_ntohs(ip.frag_off) & FRAGMENT_OFFSET)) {
		if (bpf_ntohs(ip.tot_len) < ip.ihl * 4 + 8 ||
		    bpf_skb_load_bytes(skb, ETH_HLEN + ip.ihl * 4, &port, sizeof(port)))
			return GUARD_DROPPED_LENGTH;
		if (port == bpf_htons(67))
			return GUARD_DROPPED_DHCP_SERVER;
	}
	if (!within4(&guard_prefixes, skb->ifindex, ip.saddr))
		return GUARD_DROPPED_SOURCE;
	if (group)
		return GUARD_DROPPED_DESTINATION;
	if (ip.daddr == GATEWAY)
		return ip.protocol == IPPROTO_ICMP ? GUARD_PASSED_FROM_GUEST : GUARD_DROPPED_HOST_PLANE;
	if (!is_routed4(ip.daddr))
		return GUARD_DROPPED_DESTINATION;
	held = within4(&guard_hosts, 0, ip.daddr);
	if (held && !(*held == GUARD_HOST_PROBES && is_answer4(skb, &ip)))
		return GUARD_DROPPED_HOST_PLANE;
	note_peer(skb->ifindex, ip.saddr, ip.daddr, 1);
	reason = hostnat_out(skb, skb->ifindex, &ip);
	return reason ? reason : GUARD_PASSED_FROM_GUEST;
}

/* Where a frame's transport header begins: `next` says which, 0 in `at` that there is none (a later fragment). */
struct upper {
	__u32 at;
	__u8 next;
	__u8 fragmented;
};

/* Walks the extension headers of RFC 8200 section 4. Negative: why it could not. */
static __always_inline int find_upper(struct __sk_buff *skb, const struct ip6_header *ip, struct upper *upper)
{
	__u32 at = ETH_HLEN + sizeof(*ip);
	__u8 next = ip->next, head[4];

	upper->fragmented = 0;
	for (int i = 0; i < EXTENSION_HEADERS; i++) {
		if (next != IPPROTO_HOPOPTS && next != IPPROTO_DSTOPTS && next != IPPROTO_FRAGMENT && next != IPPROTO_AH) {
			if (next == IPPROTO_ROUTING)
				return -GUARD_DROPPED_HEADERS;
			upper->at = at;
			upper->next = next;
			return 0;
		}
		if (bpf_skb_load_bytes(skb, at, head, sizeof(head)))
			return -GUARD_DROPPED_LENGTH;
		if (next == IPPROTO_FRAGMENT) {
			upper->fragmented = 1;
			if ((head[2] << 8 | head[3]) >> 3) {
				upper->at = 0;
				upper->next = head[0];
				return 0;
			}
			at += 8;
		} else if (next == IPPROTO_AH) {
			at += (head[1] + 2) * 4;
		} else {
			at += (head[1] + 1) * 8;
		}
		next = head[0];
	}
	return -GUARD_DROPPED_HEADERS;
}

static __always_inline int is_answer6(struct __sk_buff *skb, const struct ip6_header *ip, const struct upper *upper)
{
	__u8 type;

	if (!upper->at || upper->fragmented)
		return 0;
	if (upper->next == IPPROTO_TCP)
		return is_accepted(skb, upper->at, ETH_HLEN + sizeof(*ip) + bpf_ntohs(ip->payload));
	return upper->next == IPPROTO_ICMPV6 && !bpf_skb_load_bytes(skb, upper->at, &type, 1) &&
	       type == ICMP6_ECHO_REPLY;
}

/* ICMPv6 of a guest, `at` its header. */
static __always_inline int icmp6_from_guest(struct __sk_buff *skb, const struct guard_port *port,
					    const struct ip6_header *ip, const struct upper *upper)
{
	struct neighbour nd;
	__u8 type;
	int own;

	if (bpf_skb_load_bytes(skb, upper->at, &type, 1))
		return GUARD_DROPPED_LENGTH;
	if (type < ICMP6_ROUTER_SOLICIT || type > ICMP6_REDIRECT)
		return GUARD_PASSED_FROM_GUEST;
	/* Solicitations of routers, their advertisements and redirects; fragments: RFC 6980 */
	if ((type != ICMP6_NEIGHBOUR_SOLICIT && type != ICMP6_NEIGHBOUR_ADVERT) || upper->fragmented || ip->hops != 255)
		return GUARD_DROPPED_ND;
	if (bpf_skb_load_bytes(skb, upper->at, &nd, sizeof(nd)))
		return GUARD_DROPPED_LENGTH;
	own = is_own_link_local(&nd.target, port) || within6(&guard_prefixes, skb->ifindex, &nd.target);
	if (type == ICMP6_NEIGHBOUR_ADVERT)
		return own && is_gateway6(&ip->destination) ? GUARD_PASSED_FROM_GUEST : GUARD_DROPPED_ND;
	if (is_zero6(&ip->source)) /* duplicate address detection, RFC 4862 section 5.4.2 */
		return own && is_solicited_node(&ip->destination, &nd.target) ? GUARD_PASSED_FROM_GUEST
									      : GUARD_DROPPED_ND;
	return is_gateway6(&nd.target) &&
			       (is_gateway6(&ip->destination) || is_solicited_node(&ip->destination, &nd.target))
		       ? GUARD_PASSED_FROM_GUEST
		       : GUARD_DROPPED_ND;
}

static __always_inline int ip6_from_guest(struct __sk_buff *skb, const struct guard_port *port, int group)
{
	struct ip6_header ip;
	struct upper upper;
	__be16 source_port;
	int reason, own_link_local, unspecified, allowed, group_address;
	__u32 *held;

	if (bpf_skb_load_bytes(skb, ETH_HLEN, &ip, sizeof(ip)))
		return GUARD_DROPPED_LENGTH;
	if (bpf_ntohl(ip.flow) >> 28 != 6 || (__u32)bpf_ntohs(ip.payload) + sizeof(ip) + ETH_HLEN > skb->len)
		return GUARD_DROPPED_LENGTH;
	if (!holds(skb->ifindex, 6))
		return GUARD_DROPPED_NO_ADDRESS;
	allowed = within6(&guard_prefixes, skb->ifindex, &ip.source) != 0;
	own_link_local = is_own_link_local(&ip.source, port);
	unspecified = is_zero6(&ip.source);
	if (!allowed && !own_link_local && !unspecified)
		return GUARD_DROPPED_SOURCE;
	reason = find_upper(skb, &ip, &upper);
	if (reason < 0)
		return -reason;
	if (upper.at && upper.next == IPPROTO_ICMPV6) {
		reason = icmp6_from_guest(skb, port, &ip, &upper);
		if (reason != GUARD_PASSED_FROM_GUEST)
			return reason;
	}
	if (upper.at && upper.next == IPPROTO_UDP) {
		if (bpf_skb_load_bytes(skb, upper.at, &source_port, sizeof(source_port)))
			return GUARD_DROPPED_LENGTH;
		if (source_port == bpf_htons(547))
			return GUARD_DROPPED_DHCP_SERVER;
	}
	group_address = is_multicast6(&ip.destination);
	if (group_address || is_link_local6(&ip.destination)) {
		struct neighbour nd;

		/* only what is for the gateway, and of multicast only solicitations, which were looked at above */
		if (upper.next != IPPROTO_ICMPV6 || !upper.at || bpf_skb_load_bytes(skb, upper.at, &nd.type, 1))
			return GUARD_DROPPED_DESTINATION;
		if (group_address)
			return nd.type == ICMP6_NEIGHBOUR_SOLICIT ? GUARD_PASSED_FROM_GUEST : GUARD_DROPPED_DESTINATION;
		return is_gateway6(&ip.destination) && !unspecified ? GUARD_PASSED_FROM_GUEST : GUARD_DROPPED_DESTINATION;
	}
	if (!allowed)
		return GUARD_DROPPED_SOURCE;
	/* ::/96 and ::ffff:0:0/96: unspecified, loopback, IPv4 in disguise */
	if (group || (!ip.destination.words[0] && !ip.destination.words[1] &&
		      (!ip.destination.words[2] || ip.destination.words[2] == bpf_htonl(0xffff))))
		return GUARD_DROPPED_DESTINATION;
	held = within6(&guard_hosts, 0, &ip.destination);
	if (held && !(*held == GUARD_HOST_PROBES && is_answer6(skb, &ip, &upper)))
		return GUARD_DROPPED_HOST_PLANE;
	return GUARD_PASSED_FROM_GUEST;
}

SEC("tc")
int from_guest(struct __sk_buff *skb)
{
	__u32 ifindex = skb->ifindex;
	struct guard_port *port = bpf_map_lookup_elem(&guard_ports, &ifindex);
	struct ethhdr eth;
	int group;

	if (!port)
		return counted(GUARD_DROPPED_NO_PORT);
	if (bpf_skb_load_bytes(skb, 0, &eth, sizeof(eth)))
		return counted(GUARD_DROPPED_LENGTH);
	if (is_tagged(skb, eth.h_proto))
		return counted(GUARD_DROPPED_VLAN);
	if (!same_mac(eth.h_source, port->mac))
		return counted(GUARD_DROPPED_MAC);
	group = eth.h_dest[0] & 1;
	switch (bpf_ntohs(eth.h_proto)) {
	case ETH_P_ARP:
		return counted(arp_from_guest(skb, port));
	case ETH_P_IP:
		return counted(ip4_from_guest(skb, group));
	case ETH_P_IPV6:
		return counted(ip6_from_guest(skb, port, group));
	default:
		return counted(GUARD_DROPPED_ETHERTYPE);
	}
}

static __always_inline int ip6_to_guest(struct __sk_buff *skb, const struct guard_port *port)
{
	struct ip6_header ip;

	if (bpf_skb_load_bytes(skb, ETH_HLEN, &ip, sizeof(ip)))
		return GUARD_DROPPED_LENGTH;
	if (within6(&guard_prefixes, skb->ifindex, &ip.destination))
		return GUARD_PASSED_TO_GUEST;
	if (!is_multicast6(&ip.destination) && !is_link_local6(&ip.destination))
		return GUARD_DROPPED_NOT_ITS_ADDRESS;
	if (!holds(skb->ifindex, 6))
		return GUARD_DROPPED_NO_ADDRESS;
	/* the gateway's answers, and its questions about the guest's own link-local address */
	if (is_own_link_local(&ip.destination, port) && ip.next == IPPROTO_ICMPV6 && is_gateway6(&ip.source))
		return GUARD_PASSED_TO_GUEST;
	return GUARD_DROPPED_DESTINATION;
}

static __always_inline int ip4_to_guest(struct __sk_buff *skb)
{
	struct iphdr ip;
	int reason;

	if (bpf_skb_load_bytes(skb, ETH_HLEN, &ip, sizeof(ip)))
		return GUARD_DROPPED_LENGTH;
	reason = hostnat_in(skb, skb->ifindex, &ip);
	if (reason)
		return reason;
	if (bpf_skb_load_bytes(skb, ETH_HLEN + offsetof(struct iphdr, daddr), &ip.daddr, sizeof(ip.daddr)))
		return GUARD_DROPPED_LENGTH;
	if (!within4(&guard_prefixes, skb->ifindex, ip.daddr))
		return is_routed4(ip.daddr) ? GUARD_DROPPED_NOT_ITS_ADDRESS : GUARD_DROPPED_DESTINATION;
	note_peer(skb->ifindex, ip.daddr, ip.saddr, 0);
	return GUARD_PASSED_TO_GUEST;
}

SEC("tc")
int to_guest(struct __sk_buff *skb)
{
	__u32 ifindex = skb->ifindex;
	struct guard_port *port = bpf_map_lookup_elem(&guard_ports, &ifindex);
	struct ethhdr eth;

	if (!port)
		return counted(GUARD_DROPPED_NO_PORT);
	if (bpf_skb_load_bytes(skb, 0, &eth, sizeof(eth)))
		return counted(GUARD_DROPPED_LENGTH);
	if (is_tagged(skb, eth.h_proto))
		return counted(GUARD_DROPPED_VLAN);
	switch (bpf_ntohs(eth.h_proto)) {
	case ETH_P_ARP:
		return counted(holds(ifindex, 4) ? GUARD_PASSED_TO_GUEST : GUARD_DROPPED_NO_ADDRESS);
	case ETH_P_IP:
		return counted(ip4_to_guest(skb));
	case ETH_P_IPV6:
		return counted(ip6_to_guest(skb, port));
	default:
		return counted(GUARD_DROPPED_ETHERTYPE);
	}
}

char _license[] SEC("license") = "Dual BSD/GPL";
