/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The backstop: every packet to and from the instance's sockets, on every interface. It stops what
 * the socket hooks did not see, such as a socket that is older than the attachment.
 */
#pragma once

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>

#include <bpf/bpf_endian.h>

#include "addressing.h"
#include "maps.h"

/* A packet, as far as the decision needs it. */
struct packet {
	__u32 ifindex;
	__u32 peer;    /* the other end's IPv4 address, host byte order; 0 for IPv6 */
	__u8 protocol; /* IPPROTO_*; extension headers of IPv6 are not looked behind */
	__u8 is_ipv4;
};

static __always_inline enum ist_reason
decide_packet(const struct ist_identity *identity, const struct packet *packet)
{
	if (packet->protocol == IPPROTO_UDP)
		return IST_UDP;
	if (packet->protocol != IPPROTO_TCP)
		return IST_FOREIGN_PACKET;
	if (packet->ifindex == IST_LOOPBACK_IFINDEX)
		return IST_ALLOWED;
	if (!is_identified(identity))
		return IST_UNIDENTIFIED;
	/* A namespace that the container made itself can have a link of this ifindex, but no way
	 * out of itself. */
	if (packet->ifindex == identity->ifindex && packet->is_ipv4 && in_range(packet->peer))
		return IST_ALLOWED;
	return IST_FOREIGN_PACKET;
}

/* Reads the packet; 0 where it is neither IPv4 nor IPv6. cgroup_skb sees it from the IP header on. */
static __always_inline int parse_packet(struct __sk_buff *skb, int outgoing, struct packet *packet)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;

	packet->ifindex = skb->ifindex;
	if (skb->protocol == bpf_htons(ETH_P_IP)) {
		const struct iphdr *ip = data;

		if ((void *)(ip + 1) > end)
			return 0;
		packet->is_ipv4 = 1;
		packet->protocol = ip->protocol;
		packet->peer = bpf_ntohl(outgoing ? ip->daddr : ip->saddr);
		return 1;
	}
	if (skb->protocol == bpf_htons(ETH_P_IPV6)) {
		const struct ipv6hdr *ip = data;

		if ((void *)(ip + 1) > end)
			return 0;
		packet->protocol = ip->nexthdr;
		return 1;
	}
	return 0;
}
