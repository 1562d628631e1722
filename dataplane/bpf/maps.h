/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Keys, values and counters shared with user space (dataplane/guard.py, hostnat.py, nat.py). Host byte order where not said
 * otherwise. */
#ifndef GODWIT_MAPS_H
#define GODWIT_MAPS_H

#include <linux/types.h>

/* NAT, one pair of maps per direction: l1[high half of the address] is 1 + the index of a leaf, 0: none. One value, not
 * 65,536, since array values are rounded up to 8 bytes in memory. */
#define NAT_HALF 65536

struct nat_l1 {
	__u32 leaf[NAT_HALF];
};

/* leaf.to[low half of the address] is the address it maps to, in network byte order, 0: none. */
struct nat_leaf {
	__be32 to[NAT_HALF];
};

/* Guest links: an interface's row; without one, nothing passes. */
struct guard_port {
	__u8 mac[6];
	__u8 pad[2];
};

/* A prefix that a link may send from and be sent to: key of a longest-prefix-match trie. `bits` counts from `ifindex` on:
 * 64 + the prefix length. The value is `bits` again, so that a row is told from one that covers it. */
struct guard_prefix {
	__u32 bits;
	__u32 ifindex;
	__u32 family; /* 4 or 6 */
	__u8 address[16]; /* network byte order; IPv4 in the first four */
};

/* What the hosts hold, under the prefixes of guard_hosts: the longest that covers an address says. */
enum guard_host {
	GUARD_HOST_PLANE,  /* no guest sends there */
	GUARD_HOST_PROBES, /* where health checks come from: guests answer their echoes */
};

/* How many prefixes of a family a link holds. */
struct guard_family {
	__u32 ifindex;
	__u32 family;
};

/* hostnat: which address a link's guest has outside, and which inside; and whether each direction is rewritten. One row
 * a link, replaced as a whole. */
struct hostnat_port {
	__be32 public_address, private_address; /* network byte order */
	__u32 inbound, outbound; /* 0 or 1 */
};

/* What was rewritten on a link since it was made. A frame that stands for several segments counts as so many packets;
 * bytes are IPv4's, header and all. */
struct hostnat_counts {
	__u64 inbound_packets, inbound_bytes;
	__u64 outbound_packets, outbound_bytes;
};

/* A private peer of a guest that has a private address. */
struct peer_key {
	__u32 ifindex;
	__be32 peer; /* network byte order */
};

struct peer_counts {
	__u64 received, sent; /* frames, as the guest sees it */
	__u64 seen_ns;	      /* CLOCK_MONOTONIC */
};

/* What became of a frame at a guest's link; from GUARD_DROPPED_NO_PORT on it is dropped. */
enum guard_reason {
	GUARD_PASSED_FROM_GUEST,
	GUARD_PASSED_TO_GUEST,
	GUARD_DROPPED_NO_PORT,	    /* the link has no row */
	GUARD_DROPPED_MAC,	    /* source MAC is not the port's */
	GUARD_DROPPED_VLAN,	    /* tagged, in the frame or beside it */
	GUARD_DROPPED_ETHERTYPE,    /* neither IPv4, IPv6 nor ARP */
	GUARD_DROPPED_LENGTH,	    /* a header cut short, or a length that lies */
	GUARD_DROPPED_SOURCE,	    /* source address is not the link's */
	GUARD_DROPPED_DESTINATION,  /* multicast, link-local, broadcast, reserved */
	GUARD_DROPPED_HOST_PLANE,   /* the hosts' own addresses */
	GUARD_DROPPED_ARP,	    /* sender or target is not allowed */
	GUARD_DROPPED_ND,	    /* router advertisement, redirect, or a target that is not allowed */
	GUARD_DROPPED_DHCP_SERVER,  /* a guest answers as a DHCP server */
	GUARD_DROPPED_HEADERS,	    /* more IPv6 extension headers than are read, or a routing header */
	GUARD_DROPPED_NO_ADDRESS,   /* ARP or ND of a port without an address of that family */
	GUARD_DROPPED_SOURCE_ROUTE, /* hostnat: RFC 7126 section 4.3, 4.4 */
	GUARD_DROPPED_REWRITE,	    /* hostnat: the frame could not be written to */
	GUARD_DROPPED_NOT_ITS_ADDRESS, /* towards a guest: routed unicast that is for somebody else */
	GUARD_REASONS,
};

#endif
