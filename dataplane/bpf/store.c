// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The one write that a running program must never see half done.
 *
 * `words` is memory shared with the programs, aligned to 4. A release store: what was written before it (a leaf's
 * words) is seen by whoever sees it (the leaf's index). Python's own stores are memcpy of unsaid width.
 */
#include <stdint.h>

void godwit_store(uint32_t *words, uint64_t index, uint32_t value)
{
	__atomic_store_n(&words[index], value, __ATOMIC_RELEASE);
}
