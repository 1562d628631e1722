// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* rewrite.h as a user-space library, for its tests. Addresses in network byte order. */
#include "rewrite.h"

int from_public(unsigned char *packet, unsigned long bytes, __be32 private_address)
{
	return rw_from_public(packet, packet + bytes, private_address);
}

int from_private(unsigned char *packet, unsigned long bytes, __be32 public_address, __be32 private_address)
{
	return rw_from_private(packet, packet + bytes, public_address, private_address);
}
