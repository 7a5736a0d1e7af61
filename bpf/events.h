/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Events for who observes: told through a ring buffer, at a bounded rate for each instance. */
#pragma once

#include <bpf/bpf_endian.h>

#include "addressing.h"
#include "maps.h"
#include "token_bucket.h"

#define SECOND 1000000000ull

static __always_inline struct ist_event_rate *rate_of(const struct ist_identity *identity)
{
	__u32 ifindex = identity ? identity->ifindex : 0;
	struct ist_event_rate *rate = bpf_map_lookup_elem(&event_rates, &ifindex), fresh = {};

	if (rate)
		return rate;
	bpf_map_update_elem(&event_rates, &ifindex, &fresh, BPF_NOEXIST);
	return bpf_map_lookup_elem(&event_rates, &ifindex);
}

/* Tells an event, or counts it as untold. `identity` may be NULL. */
static __noinline int tell(const struct ist_identity *identity, struct ist_event *event)
{
	struct ist_event_rate *rate = rate_of(identity);
	__u64 now = bpf_ktime_get_ns();
	int told;

	if (!rate)
		return 0;
	event->time = bpf_ktime_get_boot_ns();
	if (identity) {
		event->deployment = identity->deployment;
		event->instance = identity->address;
	}
	if (event->kind == IST_EVENT_DENIED) {
		told = take_token(&rate->denials_due, now, SECOND / IST_DENIALS_PER_SECOND,
				  IST_DENIALS_BURST) &&
		       !bpf_ringbuf_output(&events, event, sizeof(*event), 0);
		if (!told)
			__sync_fetch_and_add(&rate->denials_untold, 1);
	} else {
		told = take_token(&rate->flows_due, now, SECOND / IST_FLOWS_PER_SECOND, IST_FLOWS_BURST) &&
		       !bpf_ringbuf_output(&events, event, sizeof(*event), 0);
		if (!told)
			__sync_fetch_and_add(&rate->flows_untold, 1);
	}
	return told;
}

/* The other end, as events have it: IPv4 as ::ffff:a.b.c.d. `address` is in network byte order. */
static __always_inline void set_peer_ipv4(struct ist_event *event, __u32 address)
{
	event->peer[2] = bpf_htonl(0xffff);
	event->peer[3] = address;
}
