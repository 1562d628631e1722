/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Stateless 1:1 rewrite of the addresses of an IPv4 packet, in place.
 *
 * Plain C without BPF helpers: compiled into the gateway's XDP program, and into a user-space library for its tests. The
 * guests' links apply the same decisions through the helpers of an skb, on copies of its headers (hostnat.h): those are
 * the functions that take no rw_packet.
 * Addresses and checksums are in network byte order, lengths and offsets in host order and bytes. `data` is the first
 * byte of the IPv4 header, aligned to 2; `end` is one past the last byte that may be read. Nothing is written unless the
 * verdict is RW_REWRITTEN or RW_HAIRPINNED.
 *
 * The TTL is left alone: whoever forwards the packet decrements it. Today that is the kernel (XDP_PASS); a program
 * that redirects by itself decrements it after the rewrite, and must also complete a partial checksum (see
 * rw_transport), since a redirected frame no longer carries the mark.
 */
#ifndef GODWIT_REWRITE_H
#define GODWIT_REWRITE_H

#include <linux/in.h>
#include <linux/ip.h>
#include <linux/types.h>

#ifndef __always_inline
#define __always_inline inline __attribute__((always_inline))
#endif
#ifndef __noinline
#define __noinline __attribute__((noinline))
#endif

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define rw_swap16(x) ((__u16)__builtin_bswap16(x))
#define rw_swap32(x) ((__u32)__builtin_bswap32(x))
#else
#define rw_swap16(x) ((__u16)(x))
#define rw_swap32(x) ((__u32)(x))
#endif

/* What became of a packet; also the index of its counter. From RW_DROPPED_MISS_PUBLIC on, the packet is dropped. */
enum rw_verdict {
	RW_PASSED_OTHER,	 /* not IPv4 */
	RW_PASSED_OWN,		 /* not for translation: the gateway's own traffic, or the link's */
	RW_PASSED_TTL,		 /* TTL is used up: unrewritten to the kernel, which answers */
	RW_REWRITTEN,		 /* one end */
	RW_HAIRPINNED,		 /* both ends: ours to ours */
	RW_DROPPED_MISS_PUBLIC,	 /* the /16 has public addresses of ours, but this is none */
	RW_DROPPED_MISS_PRIVATE, /* a 10.x source without a public address */
	RW_DROPPED_LENGTH,	 /* a length that lies, or a header cut short */
	RW_DROPPED_SOURCE_ROUTE, /* RFC 7126 section 4.3, 4.4 */
	RW_VERDICTS,
};

/* What a table answers: an address, or one of these, which are no unicast addresses. */
#define RW_EMPTY 0x00000000u	 /* its /16 has mappings, but this address has none */
#define RW_UNTOUCHED 0xffffffffu /* its /16 has none */

#define RW_FRAGMENT_OFFSET 0x1fff /* RFC 791, host order */
#define RW_FRAGMENT_MORE 0x2000
#define RW_OPTION_END 0
#define RW_OPTION_NOP 1
#define RW_OPTION_LSRR 131
#define RW_OPTION_SSRR 137
#define RW_ICMP_HEADER 8
#define RW_ICMP_UNREACHABLE 3 /* RFC 792; linux/icmp.h draws in the C library */
#define RW_ICMP_QUENCH 4
#define RW_ICMP_REDIRECT 5
#define RW_ICMP_TIME_EXCEEDED 11
#define RW_ICMP_PARAMETER 12
#define RW_SUM_BYTES 4096 /* rw_sum() adds up less: more than an XDP frame of one page holds */

struct rw_icmp {
	__u8 type, code;
	__u16 checksum;
	__u32 rest;
};

struct rw_packet {
	__u8 *data;
	__u8 *end;
	__u32 length;	/* IPv4 total length */
	__u32 payload;	/* where what follows the IPv4 header begins */
	__u8 protocol;
	__u8 ttl;
	__u8 later;	/* a fragment that is not the first: no transport header */
	__u8 fragment;	/* any fragment */
	__be32 source, destination; /* as they came */
};

/* One's complement sum folded to 16 bits. Byte order of the summands. RFC 1071. */
static __always_inline __u16 rw_fold(__u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (__u16)sum;
}

/* Checksum after one 16-bit word of what it covers changed, `from` -> `to`. RFC 1624, eqn 3. */
static __always_inline __u16 rw_replace2(__u16 csum, __u16 from, __u16 to)
{
	return (__u16)~rw_fold((__u64)(__u16)~csum + (__u16)~from + to);
}

/* The same for a 32-bit word, at an even offset. */
static __always_inline __u16 rw_replace4(__u16 csum, __u32 from, __u32 to)
{
	return (__u16)~rw_fold((__u64)(__u16)~csum + (__u16)~(from & 0xffff) + (__u16)~(from >> 16) + (to & 0xffff) +
			       (to >> 16));
}

/* Where a transport header keeps a checksum that covers the addresses; 0: it has none that we know. */
static __always_inline __u32 rw_checksum_at(__u8 protocol)
{
	switch (protocol) {
	case IPPROTO_TCP:
		return 16;
	case IPPROTO_UDP:
	case IPPROTO_UDPLITE:
		return 6;
	default:
		return 0;
	}
}

static __always_inline int rw_is_icmp_error(__u8 type)
{
	return type == RW_ICMP_UNREACHABLE || type == RW_ICMP_QUENCH || type == RW_ICMP_REDIRECT ||
	       type == RW_ICMP_TIME_EXCEEDED || type == RW_ICMP_PARAMETER;
}

/* One's complement sum of `bytes` bytes from `at`, not inverted; an odd last byte is padded by 0. `at` is aligned to 4,
 * `bytes` < RW_SUM_BYTES. In chunks of 32 bytes, the rest first: so the verifier walks each loop once. */
static __noinline __u16 rw_sum(__u8 *at, __u8 *end, __u32 bytes)
{
	__u8 *rest = at + (bytes & (RW_SUM_BYTES - 32));
	__u64 sum = 0;

	for (__u32 i = 0; i < 32; i += 2) {
		if (i + 2 > (bytes & 31) || rest + i + 2 > end)
			break;
		sum += *(__u16 *)(rest + i);
	}
	if (bytes & 1) {
		rest += bytes & 30;
		if (rest + 1 <= end)
			sum += rw_swap16((__u16)(*rest << 8));
	}
	for (__u32 i = 0; i < RW_SUM_BYTES / 32; i++) {
		__u32 *word = (__u32 *)(at + 32 * i);

		if (i >= bytes / 32 || (__u8 *)(word + 8) > end)
			break;
		sum += (__u64)word[0] + word[1] + word[2] + word[3] + word[4] + word[5] + word[6] + word[7];
	}
	return rw_fold(sum);
}

/* Sum of the pseudo header, not inverted: what a segment's checksum field holds until hardware completes it. RFC 9293
 * section 3.1. */
static __always_inline __u16 rw_pseudo(__be32 source, __be32 destination, __u8 protocol, __u32 bytes)
{
	__u64 sum = source;

	sum += destination;
	sum += rw_swap16((__u16)protocol);
	sum += rw_swap16((__u16)bytes);
	return rw_fold(sum);
}

/* RW_REWRITTEN: the option list, up to `payload`, is sound and names no source route. */
static __noinline enum rw_verdict rw_options(__u8 *data, __u8 *end, __u32 payload)
{
	__u32 at = sizeof(struct iphdr);

	for (int i = 0; i < 40; i++) {
		__u8 *option;

		if (at >= payload)
			return RW_REWRITTEN;
		at &= 63;
		option = data + at;
		if (option + 1 > end)
			return RW_DROPPED_LENGTH;
		if (*option == RW_OPTION_END)
			return RW_REWRITTEN;
		if (*option == RW_OPTION_NOP) {
			at++;
			continue;
		}
		if (*option == RW_OPTION_LSRR || *option == RW_OPTION_SSRR)
			return RW_DROPPED_SOURCE_ROUTE;
		if (at + 2 > payload || option + 2 > end || option[1] < 2 || at + option[1] > payload)
			return RW_DROPPED_LENGTH;
		at += option[1];
	}
	return RW_REWRITTEN;
}

/* RW_REWRITTEN: a transport header, of `bytes` with its payload, does not lie about its length. 20 bytes of it can be
 * read if it is TCP's, 8 if it is UDP's or ICMP's. */
static __always_inline enum rw_verdict rw_transport_claims(__u8 protocol, const __u8 *header, __u32 bytes, int fragment)
{
	__u32 claimed;

	switch (protocol) {
	case IPPROTO_TCP:
		claimed = (header[12] >> 4) * 4u; /* data offset: may reach into a later fragment */
		return claimed < 20 || (claimed > bytes && !fragment) ? RW_DROPPED_LENGTH : RW_REWRITTEN;
	case IPPROTO_UDP:
	case IPPROTO_UDPLITE:
		claimed = header[4] << 8 | header[5]; /* length; UDP-Lite: coverage, 0 is all (RFC 3828) */
		if (protocol == IPPROTO_UDPLITE && claimed == 0)
			return RW_REWRITTEN;
		return claimed < 8 || (claimed > bytes && !fragment) ? RW_DROPPED_LENGTH : RW_REWRITTEN;
	default:
		return RW_REWRITTEN;
	}
}

/* RW_REWRITTEN: the transport header is whole, and does not lie about its length. */
static __always_inline enum rw_verdict rw_transport_is_sound(const struct rw_packet *p)
{
	__u32 bytes = p->length - p->payload;
	__u8 *header = p->data + p->payload;

	switch (p->protocol) { /* each with a constant, or the verifier loses the bound */
	case IPPROTO_TCP:
		if (bytes < 20 || header + 20 > p->end)
			return RW_DROPPED_LENGTH;
		break;
	case IPPROTO_UDP:
	case IPPROTO_UDPLITE:
	case IPPROTO_ICMP:
		if (bytes < 8 || header + 8 > p->end)
			return RW_DROPPED_LENGTH;
		break;
	default:
		return RW_REWRITTEN;
	}
	return rw_transport_claims(p->protocol, header, bytes, p->fragment);
}

/* Reads and checks what is rewritten. RW_REWRITTEN: sound. RFC 791, RFC 7126. */
static __always_inline enum rw_verdict rw_parse(struct rw_packet *p, void *data, void *end)
{
	struct iphdr *ip = data;
	enum rw_verdict verdict;
	__u32 fragment;

	if ((void *)(ip + 1) > end || ip->version != 4 || ip->ihl < 5)
		return RW_DROPPED_LENGTH;
	p->data = data;
	p->end = end;
	p->length = rw_swap16(ip->tot_len);
	p->payload = ip->ihl * 4u;
	if (p->length < p->payload || p->data + p->length > p->end)
		return RW_DROPPED_LENGTH;
	p->source = ip->saddr;
	p->destination = ip->daddr;
	p->protocol = ip->protocol;
	p->ttl = ip->ttl;
	fragment = rw_swap16(ip->frag_off);
	p->later = (fragment & RW_FRAGMENT_OFFSET) != 0;
	p->fragment = (fragment & (RW_FRAGMENT_OFFSET | RW_FRAGMENT_MORE)) != 0;
	if (p->payload > sizeof(*ip)) {
		verdict = rw_options(p->data, p->end, p->payload);
		if (verdict != RW_REWRITTEN)
			return verdict;
	}
	return p->later ? RW_REWRITTEN : rw_transport_is_sound(p);
}

/* TCP, UDP, UDP-Lite: the checksum after the addresses changed.
 *
 * UDP: 0 means none and stays (RFC 768); a result of 0 is stored as 0xffff. A sender on this machine leaves the field
 * holding the pseudo header's sum, not inverted, to be completed at the last device (CHECKSUM_PARTIAL): then the new
 * pseudo header's sum goes there. A complete checksum may look the same by chance (1 in 65,536), so the segment is
 * added up: only one that does not verify is partial.
 */
static __always_inline void rw_transport(struct rw_packet *p, __be32 source, __be32 destination)
{
	/* Lengths are read again: knowing no more than their bounds, the verifier walks what follows once for all ways that
	 * lead here, a quarter of the steps. */
	const volatile __u8 *ip = p->data;
	__u32 payload = (ip[0] & 15) * 4u;
	__u32 bytes = ((ip[2] << 8 | ip[3]) - payload) & 0xffff;
	__u8 *segment = p->data + payload;
	__u8 *at = segment + rw_checksum_at(p->protocol);
	__u16 *check = (__u16 *)at;
	__u16 pseudo, sum;

	if (at + 2 > p->end || (p->protocol != IPPROTO_TCP && *check == 0))
		return;
	pseudo = rw_pseudo(p->source, p->destination, p->protocol, bytes);
	if (*check == pseudo && !p->fragment && p->protocol != IPPROTO_UDPLITE &&
	    rw_fold((__u64)pseudo + rw_sum(segment, p->end, bytes)) != 0xffff) {
		*check = rw_pseudo(source, destination, p->protocol, bytes);
		return;
	}
	sum = rw_replace4(rw_replace4(*check, p->source, source), p->destination, destination);
	*check = sum == 0 && p->protocol != IPPROTO_TCP ? 0xffff : sum;
}

/* What becomes of a packet's two ends. */
struct rw_ends {
	__be32 source, destination; /* as they came */
	__be32 to_source, to_destination;
};

/* The header that an ICMP error quotes, and the checksums that follow it.
 *
 * The quoted packet travelled the other way: its source is the error's destination, its destination the error's
 * source; an address that is neither is left. Its header checksum and, where quoted, its transport checksum (else null)
 * follow, and the error's own checksum covers them all. RFC 792, RFC 5508 section 4.2.
 */
static __always_inline void rw_requote(struct iphdr *inner, __u16 *transport, __u16 *icmp_check,
				       const struct rw_ends *ends)
{
	__be32 source = inner->saddr == ends->destination ? ends->to_destination : inner->saddr;
	__be32 destination = inner->daddr == ends->source ? ends->to_source : inner->daddr;
	__u16 check, sum;

	if (transport && (inner->protocol == IPPROTO_TCP || *transport != 0)) {
		check = *transport;
		sum = rw_replace4(rw_replace4(check, inner->saddr, source), inner->daddr, destination);
		if (sum == 0 && inner->protocol != IPPROTO_TCP)
			sum = 0xffff;
		*transport = sum;
		*icmp_check = rw_replace2(*icmp_check, check, sum);
	}
	check = inner->check;
	sum = rw_replace4(rw_replace4(check, inner->saddr, source), inner->daddr, destination);
	inner->check = sum;
	*icmp_check = rw_replace2(*icmp_check, check, sum);
	*icmp_check = rw_replace4(*icmp_check, inner->saddr, source);
	*icmp_check = rw_replace4(*icmp_check, inner->daddr, destination);
	inner->saddr = source;
	inner->daddr = destination;
}

/* Where, from its first byte on, a quoted packet keeps the checksum that covers its addresses; 0: nowhere. */
static __always_inline __u32 rw_quoted_checksum_at(const struct iphdr *inner)
{
	__u32 at = rw_checksum_at(inner->protocol);

	return at && !(rw_swap16(inner->frag_off) & RW_FRAGMENT_OFFSET) ? inner->ihl * 4u + at : 0;
}

/* ICMP errors 3, 4, 5, 11, 12: the packet they quote, as far as it goes. */
static __always_inline void rw_quoted(struct rw_packet *p, __be32 source, __be32 destination)
{
	struct rw_icmp *icmp = (struct rw_icmp *)(p->data + p->payload);
	struct iphdr *inner = (struct iphdr *)(icmp + 1);
	struct rw_ends ends = {p->source, p->destination, source, destination};
	__u32 at = p->payload + RW_ICMP_HEADER, checksum_at;
	__u16 *transport = 0;

	if ((void *)(icmp + 1) > (void *)p->end || !rw_is_icmp_error(icmp->type))
		return;
	if (at + sizeof(*inner) > p->length || (void *)(inner + 1) > (void *)p->end)
		return;
	if (inner->version != 4 || inner->ihl < 5)
		return;
	checksum_at = rw_quoted_checksum_at(inner);
	at += checksum_at;
	if (checksum_at && at + 2 <= p->length) {
		transport = (__u16 *)(p->data + at);
		if ((__u8 *)(transport + 1) > p->end)
			transport = 0;
	}
	rw_requote(inner, transport, &icmp->checksum, &ends);
}

/* Gives a parsed packet its new addresses; one that stays is passed as it was. */
static __always_inline void rw_apply(struct rw_packet *p, __be32 source, __be32 destination)
{
	struct iphdr *ip = (struct iphdr *)p->data;

	if ((void *)(ip + 1) > (void *)p->end)
		return;
	ip->check = rw_replace4(rw_replace4(ip->check, p->source, source), p->destination, destination);
	ip->saddr = source;
	ip->daddr = destination;
	if (p->later)
		return;
	if (p->protocol == IPPROTO_ICMP)
		rw_quoted(p, source, destination);
	else if (rw_checksum_at(p->protocol))
		rw_transport(p, source, destination);
}

/* The public side: the destination becomes `private_address`, the answer of the public table. */
static __always_inline enum rw_verdict rw_from_public(void *data, void *end, __be32 private_address)
{
	struct rw_packet p;
	enum rw_verdict verdict;

	if (private_address == RW_UNTOUCHED)
		return RW_PASSED_OWN;
	if (private_address == RW_EMPTY)
		return RW_DROPPED_MISS_PUBLIC;
	verdict = rw_parse(&p, data, end);
	if (verdict != RW_REWRITTEN)
		return verdict;
	if (p.ttl <= 1)
		return RW_PASSED_TTL;
	rw_apply(&p, p.source, private_address);
	return RW_REWRITTEN;
}

/* The private side: the source becomes `public_address`, the answer of the private table; the destination becomes
 * `private_address`, the answer of the public table, if it is one of ours. */
static __always_inline enum rw_verdict rw_from_private(void *data, void *end, __be32 public_address,
						       __be32 private_address)
{
	struct rw_packet p;
	enum rw_verdict verdict;
	int hairpin;

	if (public_address == RW_UNTOUCHED || public_address == RW_EMPTY)
		return RW_DROPPED_MISS_PRIVATE;
	verdict = rw_parse(&p, data, end);
	if (verdict != RW_REWRITTEN)
		return verdict;
	if (p.ttl <= 1)
		return RW_PASSED_TTL;
	hairpin = private_address != RW_UNTOUCHED && private_address != RW_EMPTY;
	rw_apply(&p, public_address, hairpin ? private_address : p.destination);
	return hairpin ? RW_HAIRPINNED : RW_REWRITTEN;
}

#endif
