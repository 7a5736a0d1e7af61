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

/* A random instance out of `set & mask`, or 0 where there is none. `mask` may be NULL. */
static __always_inline __u32 random_instance(const __u64 *set, const __u64 *mask)
{
	__u64 words[IST_INSTANCE_WORDS];
	__u32 total = 0, n;

#pragma unroll
	for (int i = 0; i < IST_INSTANCE_WORDS; i++) {
		words[i] = mask ? set[i] & mask[i] : set[i];
		total += bits_set(words[i]);
	}
	if (!total)
		return 0;
	n = total == 1 ? 0 : bpf_get_prandom_u32() % total;
#pragma unroll
	for (int i = 0; i < IST_INSTANCE_WORDS; i++) {
		__u32 here = bits_set(words[i]);

		if (n < here)
			return i * 64 + nth_bit_set(words[i], n);
		n -= here;
	}
	return 0;
}

/* How many instances are in `set & mask`. `mask` may be NULL. */
static __always_inline __u32 instance_count(const __u64 *set, const __u64 *mask)
{
	__u32 total = 0;

#pragma unroll
	for (int i = 0; i < IST_INSTANCE_WORDS; i++)
		total += bits_set(mask ? set[i] & mask[i] : set[i]);
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

/*
 * The local instance for a connection to `port`, or 0 where there is none or other runners' are to be
 * asked, which is the daemon's to do: it tries one after the other.
 *
 * Local ones that are seen to listen come first, so that an instance which is still starting is not
 * asked; with IST_SPREAD each is as likely as one of another runner. Where none is seen to listen,
 * other runners' come first, and any local one last: a socket that began to listen before its process
 * was in the cgroup is not seen.
 */
static __always_inline __u32 select_local_instance(const struct ist_service *service,
					     const struct ist_service_key *key, __u16 port)
{
	struct ist_service_port at = {
		.deployment = key->deployment,
		.service = key->service,
		.port = port,
	};
	const struct ist_listening *known = bpf_map_lookup_elem(&listening, &at);
	__u32 instance = 0, here, elsewhere = instance_count(service->remote, NULL);

	if (known)
		instance = random_instance(service->local, known->instances);
	if (!elsewhere)
		return instance ? instance : random_instance(service->local, NULL);
	if (!known || !instance || !(service->flags & IST_SPREAD))
		return instance;
	here = instance_count(service->local, known->instances);
	return bpf_get_prandom_u32() % (here + elsewhere) < here ? instance : 0;
}
