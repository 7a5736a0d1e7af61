/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which instance a connection to a service address goes to. */
#pragma once

#include "addressing.h"
#include "maps.h"

static __always_inline __u32 bits_set(__u64 word)
{
	return __builtin_popcountll(word);
}

/* The place of the n-th bit that is set, n from 0, less than bits_set(word): halve and choose. */
static __always_inline __u32 nth_bit_set(__u64 word, __u32 n)
{
	__u32 place = 0;

#pragma unroll
	for (__u32 width = 32; width; width /= 2) {
		__u32 below = bits_set(word & ((1ull << width) - 1));

		if (n >= below) {
			n -= below;
			word >>= width;
			place += width;
		}
	}
	return place;
}

/* The n-th instance of a set, n from 0, less than instance_count(set). */
static __always_inline __u32 nth_instance(const __u64 *set, __u32 n)
{
#pragma unroll
	for (int i = 0; i < IST_INSTANCE_WORDS; i++) {
		__u32 here = bits_set(set[i]);

		if (n < here)
			return i * 64 + nth_bit_set(set[i], n);
		n -= here;
	}
	return 0;
}

static __always_inline __u32 instance_count(const __u64 *set)
{
	__u32 total = 0;

#pragma unroll
	for (int i = 0; i < IST_INSTANCE_WORDS; i++)
		total += bits_set(set[i]);
	return total;
}

static __always_inline int is_empty(const __u64 *set)
{
	return !(set[0] | set[1] | set[2] | set[3]);
}

static __always_inline int has_instance(const __u64 *set, __u32 instance)
{
	__u32 word = instance / 64;

	return word < IST_INSTANCE_WORDS && set[word] >> (instance & 63) & 1;
}

/* The instances that a connection to a service address may go to, each as likely as the others. */
struct candidates {
	__u64 local[IST_INSTANCE_WORDS];
	const __u64 *remote; /* of other runners; NULL where none of them may get it */
};

/*
 * Local instances that are seen to listen come first, so that one which is still starting is not asked;
 * with IST_SPREAD each is as likely as one of another runner. Where none is seen to listen, other runners'
 * come first, and any local one last: a socket that began to listen before its process was in the cgroup
 * is not seen.
 */
static __always_inline void find_candidates(const struct ist_service *service,
					    const struct ist_service_key *key, __u16 port,
					    struct candidates *found)
{
	struct ist_service_port at = {
		.deployment = key->deployment,
		.service = key->service,
		.port = port,
	};
	const struct ist_listening *known = bpf_map_lookup_elem(&listening, &at);
	int listens, elsewhere = !is_empty(service->remote);

#pragma unroll
	for (int i = 0; i < IST_INSTANCE_WORDS; i++)
		found->local[i] = known ? service->local[i] & known->instances[i] : 0;
	listens = !is_empty(found->local);
	found->remote = NULL;
	if (elsewhere && (!listens || service->flags & IST_SPREAD))
		found->remote = service->remote;
	if (listens || elsewhere)
		return;
#pragma unroll
	for (int i = 0; i < IST_INSTANCE_WORDS; i++)
		found->local[i] = service->local[i];
}

/*
 * The local instance for a connection to `port`, or 0 where there is none or other runners' are to be
 * asked, which is the daemon's to do: it tries one after the other.
 */
static __always_inline __u32 select_local_instance(const struct ist_service *service,
						   const struct ist_service_key *key, __u16 port)
{
	struct candidates found;
	__u32 here;

	find_candidates(service, key, port, &found);
	here = instance_count(found.local);
	if (!here)
		return 0;
	if (found.remote && bpf_get_prandom_u32() % (here + instance_count(found.remote)) >= here)
		return 0;
	return nth_instance(found.local, here == 1 ? 0 : bpf_get_prandom_u32() % here);
}
