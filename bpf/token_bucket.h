/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A rate that nothing exceeds for long. */
#pragma once

#include <linux/types.h>

/*
 * A token bucket in one word, so that CPUs need no lock: each event takes up `interval`, and `due`
 * is when all that were told are over. One more is told while that is within a burst's worth.
 */
static __always_inline int take_token(__u64 *due, __u64 now, __u64 interval, __u64 burst)
{
	/* Another CPU may take one meanwhile; more than four at once go untold. */
#pragma unroll
	for (int i = 0; i < 4; i++) {
		__u64 seen = *(volatile __u64 *)due, start = seen > now ? seen : now;

		if (start - now > interval * (burst - 1))
			return 0;
		if (__sync_val_compare_and_swap(due, seen, start + interval) == seen)
			return 1;
	}
	return 0;
}
