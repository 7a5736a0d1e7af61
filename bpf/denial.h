/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Denials: the errno that each reason means to a program, and the counters. */
#pragma once

#include <linux/errno.h>

#include "addressing.h"
#include "maps.h"

/*
 * The errno contract: EPERM for policy (connect(2) documents it for a local firewall rule),
 * EHOSTUNREACH for an address of the range that is no declared service's, ECONNREFUSED for a
 * service that is declared but has no instance that could answer.
 */
static __always_inline int errno_of(enum ist_reason reason)
{
	switch (reason) {
	case IST_ALLOWED:
		return 0;
	case IST_NO_SERVICE:
		return EHOSTUNREACH;
	case IST_NO_INSTANCE:
		return ECONNREFUSED;
	default:
		return EPERM;
	}
}

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
