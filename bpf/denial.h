/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Denials are counted, by service and reason. */
#pragma once

#include "addressing.h"
#include "maps.h"

/* Counts a denial. `identity` may be NULL. */
static __noinline int count_denial(const struct ist_identity *identity, enum ist_reason reason)
{
	struct ist_denial_key key = { .reason = reason };
	__u64 zero = 0, *count;

	if (identity) {
		key.deployment = identity->deployment;
		key.service = service_of(identity->address);
	}
	count = bpf_map_lookup_elem(&denials, &key);
	if (!count) {
		bpf_map_update_elem(&denials, &key, &zero, BPF_NOEXIST);
		count = bpf_map_lookup_elem(&denials, &key);
	}
	if (count)
		__sync_fetch_and_add(count, 1);
	return 0;
}
