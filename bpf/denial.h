/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Denials are counted, by service and reason, and told. */
#pragma once

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>

#include "addressing.h"
#include "events.h"
#include "maps.h"

/* Counts a denial. `identity` may be NULL: then of a link that is no instance's. */
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

/* Counts a denial and tells it; `event` says what was attempted. `identity` may be NULL. Denials of a
 * cgroup that is not identified are not counted, the proof of attachment's own among them. */
static __always_inline void
deny(const struct ist_identity *identity, enum ist_reason reason, struct ist_event *event)
{
	if (identity && !is_identified(identity))
		return;
	event->kind = IST_EVENT_DENIED;
	event->reason = reason;
	count_denial(identity, reason);
	tell(identity, event);
}

/*
 * Says what a denied packet was, as far as its headers are there. `offset` is where the IP header
 * begins. The sender chose all of it: it is for people to read, and decides nothing.
 */
static __always_inline void
describe_packet(struct __sk_buff *skb, __u32 offset, int incoming, struct ist_event *event)
{
	__u16 ports[2] = {};

	event->incoming = incoming;
	if (skb->protocol == bpf_htons(ETH_P_IP)) {
		struct iphdr ip;

		if (bpf_skb_load_bytes(skb, offset, &ip, sizeof(ip)))
			return;
		event->protocol = ip.protocol;
		set_peer_ipv4(event, incoming ? ip.saddr : ip.daddr);
		if (ip.frag_off & bpf_htons(IP_FRAGMENT_OFFSET))
			return; /* no first fragment: no ports */
		offset += ip.ihl * 4;
	} else if (skb->protocol == bpf_htons(ETH_P_IPV6)) {
		struct ipv6hdr ip;

		if (bpf_skb_load_bytes(skb, offset, &ip, sizeof(ip)))
			return;
		event->protocol = ip.nexthdr;
		__builtin_memcpy(event->peer, incoming ? &ip.saddr : &ip.daddr, sizeof(event->peer));
		offset += sizeof(ip);
	}
	if (event->protocol != IPPROTO_TCP && event->protocol != IPPROTO_UDP)
		return;
	if (bpf_skb_load_bytes(skb, offset, ports, sizeof(ports)))
		return;
	event->own_port = bpf_ntohs(ports[incoming ? 1 : 0]);
	event->peer_port = bpf_ntohs(ports[incoming ? 0 : 1]);
}
