/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What an address is. All in host byte order. The plan: Sources/Model/AddressPlan.swift. */
#pragma once

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "dataplane_abi.h"

/* First address of the range. Set by the daemon before the programs are loaded. */
const volatile __u32 range_base = IST_STANDARD_RANGE;

#define LOOPBACK_NET 127u

/* Of an IPv4 header's frag_off (RFC 791), in host byte order: its offset, and all but "do not fragment". */
#define IP_FRAGMENT_OFFSET 0x1fff
#define IP_FRAGMENT 0x3fff

static __always_inline int in_range(__u32 address)
{
	return (address & ~IST_OFFSET_MASK) == range_base;
}

/*
 * Whether the cgroup is an instance's. One that is not yet, because nothing is proved, or no more,
 * because its service was removed, keeps TCP on loopback, which is its own, and has nothing else.
 */
static __always_inline int is_identified(const struct ist_identity *identity)
{
	return identity && identity->deployment;
}

/* 0 is the fabric's own block. */
static __always_inline __u32 service_of(__u32 address)
{
	return (address & IST_OFFSET_MASK) >> 8;
}

static __always_inline __u32 octet_of(__u32 address)
{
	return address & 0xff;
}

static __always_inline int is_instance_octet(__u32 octet)
{
	return octet >= IST_FIRST_INSTANCE && octet <= IST_LAST_INSTANCE;
}

/* The wildcard too: the kernel takes it for loopback when it is connected to. */
static __always_inline int is_loopback(__u32 address)
{
	return address >> 24 == LOOPBACK_NET || address == 0;
}
