/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Egress: TCP that a service may open outward, through the container's other interfaces, or over ist0
 * through the daemon's relay where there are none. Asked for last, after loopback and the range, so no
 * rule opens anything of these, however wide it is.
 */
#pragma once

#include <linux/ip.h>
#include <linux/tcp.h>

#include <bpf/bpf_endian.h>

#include "addressing.h"
#include "backstop.h"
#include "maps.h"

/* The rule that lets the service connect there, with its count, or NULL. Host byte order. */
static __always_inline __u64 *egress_rule(const struct ist_identity *identity, __u32 address, __u16 port)
{
	struct ist_egress_key key = {
		.prefix_length = IST_EGRESS_FIXED_BITS + 32,
		.deployment = bpf_htonl(identity->deployment),
		.service = bpf_htons(service_of(identity->address)),
		.port = bpf_htons(port),
		.address = bpf_htonl(address),
	};
	__u64 *rule = bpf_map_lookup_elem(&egress, &key);

	if (rule)
		return rule;
	key.port = 0;
	return bpf_map_lookup_elem(&egress, &key);
}

/* Whether the service may have TCP with this address and port outside. Host byte order. */
static __always_inline int is_allowed_outside(const struct ist_identity *identity, __u32 address, __u16 port)
{
	return !in_range(address) && !is_loopback(address) && egress_rule(identity, address, port) != NULL;
}

/* A TCP segment with an address outside, as far as the decision needs it. */
struct segment {
	__u16 peer_port; /* host byte order */
	__u8 syn;
	__u8 ack;
};

/* Whether a packet that the backstop takes for foreign is of a connection that egress allows. */
static __always_inline int is_egress(const struct ist_identity *identity, const struct packet *packet,
				     const struct segment *segment, int outgoing)
{
	if (!packet->is_ipv4)
		return 0;
	/* Opened outward: a SYN goes out, and its answer comes in. Without this, who listens on an
	 * allowed port could connect inward from it. */
	if (segment->syn && !!segment->ack == !!outgoing)
		return 0;
	return is_allowed_outside(identity, packet->peer, segment->peer_port);
}

/* Reads the segment; 0 where there is none. */
static __always_inline int parse_segment(struct __sk_buff *skb, int outgoing, struct segment *segment)
{
	struct tcphdr tcp;
	struct iphdr ip;

	if (skb->protocol != bpf_htons(ETH_P_IP) || bpf_skb_load_bytes(skb, 0, &ip, sizeof(ip)))
		return 0;
	/* Sockets send and get whole segments only. */
	if (ip.protocol != IPPROTO_TCP || ip.frag_off & bpf_htons(IP_FRAGMENT) ||
	    bpf_skb_load_bytes(skb, ip.ihl * 4, &tcp, sizeof(tcp)))
		return 0;
	segment->peer_port = bpf_ntohs(outgoing ? tcp.dest : tcp.source);
	segment->syn = tcp.syn;
	segment->ack = tcp.ack;
	return 1;
}
