/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The fabric's switch: tc ingress on the fabric's end of every instance's link. It is the wall
 * that does not depend on the cgroup programs: whatever a program in the container sends, by raw
 * socket or from another network stack, only IPv4 TCP from its own address passes, to the range and to
 * where the egress rules of its service lead. The latter is the relay's, never another instance's.
 */
#pragma once

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/pkt_cls.h>
#include <linux/tcp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "addressing.h"
#include "egress.h"
#include "maps.h"
#include "own_sockets.h"

struct frame {
	struct ethhdr ethernet;
	struct iphdr ip;
	struct tcphdr tcp;
} __attribute__((packed));

/* The frame's headers as far as `size`, or NULL where it is too short for them. */
static __always_inline const struct frame *headers_of(struct __sk_buff *skb, __u32 size)
{
	void *frame = (void *)(long)skb->data;

	if (frame + size <= (void *)(long)skb->data_end)
		return frame;
	/* Headers that are not in the linear part: a frame made by a program, not by TCP. */
	if (bpf_skb_pull_data(skb, size))
		return NULL;
	frame = (void *)(long)skb->data;
	return frame + size <= (void *)(long)skb->data_end ? frame : NULL;
}

/*
 * Whether the frame belongs to a connection that the gateway made, which the front door's are, or the
 * host, which those of `istbpf connect` are: what answers them passes, and nothing else to the fabric's
 * own block. A first SYN opens none, and the relay's listening socket is no connection. Not inlined:
 * clang would take the frame for checked already, which the verifier has forgotten by then.
 */
static __noinline int answers_fabric(struct __sk_buff *skb)
{
	const struct frame *frame = headers_of(skb, sizeof(*frame));
	struct bpf_sock_tuple flow = {};
	struct bpf_sock *socket;
	int is_connection;
	__u32 own;

	if (!frame || (frame->tcp.syn && !frame->tcp.ack))
		return 0;
	own = bpf_ntohl(frame->ip.daddr) - range_base;
	if (own != IST_GATEWAY_OFFSET && own != IST_HOST_OFFSET)
		return 0;
	flow.ipv4.saddr = frame->ip.saddr;
	flow.ipv4.daddr = frame->ip.daddr;
	flow.ipv4.sport = frame->tcp.source;
	flow.ipv4.dport = frame->tcp.dest;
	socket = bpf_skc_lookup_tcp(skb, &flow, sizeof(flow.ipv4), BPF_F_CURRENT_NETNS, 0);
	if (!socket)
		return 0;
	is_connection = socket->state != BPF_TCP_LISTEN;
	bpf_sk_release(socket);
	return is_connection;
}

/* Whether a frame to an address outside goes where the sender's service may connect. */
static __always_inline int
leaves_by_rule(struct __sk_buff *skb, const struct ist_identity *sender, __u32 destination)
{
	__be16 port;

	/* Copied: clang would take the frame for checked already (see answers_fabric). */
	if (bpf_skb_load_bytes(skb, __builtin_offsetof(struct frame, tcp.dest), &port, sizeof(port)))
		return 0;
	return is_allowed_outside(sender, destination, bpf_ntohs(port));
}

/* Whether the frame may enter the fabric; sets its destination (host byte order) if so. */
static __always_inline enum ist_reason
check_frame(struct __sk_buff *skb, const struct ist_identity *sender, __u32 *destination)
{
	const struct frame *frame;

	if (skb->vlan_present)
		return IST_FRAME_VLAN;
	if (skb->protocol != bpf_htons(ETH_P_IP))
		return IST_FRAME_NOT_IPV4;
	frame = headers_of(skb, __builtin_offsetof(struct frame, tcp));
	if (!frame)
		return IST_FRAME_MALFORMED;
	/* No IP options: TCP sends none by itself, and some of them are routes. */
	if (frame->ip.version != 4 || frame->ip.ihl != sizeof(struct iphdr) / 4)
		return IST_FRAME_MALFORMED;
	if (frame->ip.protocol != IPPROTO_TCP)
		return IST_FRAME_NOT_TCP;
	if (frame->ip.frag_off & bpf_htons(IP_FRAGMENT))
		return IST_FRAME_FRAGMENT;
	/* Only now: a datagram may be shorter than a TCP header, and is not malformed. */
	frame = headers_of(skb, sizeof(*frame));
	if (!frame)
		return IST_FRAME_MALFORMED;
	if (bpf_ntohl(frame->ip.saddr) != sender->address)
		return IST_FRAME_SPOOFED;
	*destination = bpf_ntohl(frame->ip.daddr);
	if (*destination == sender->address)
		return IST_FRAME_FOREIGN;
	if (!in_range(*destination)) {
		if (!leaves_by_rule(skb, sender, *destination))
			return IST_FRAME_FOREIGN;
	} else if (!service_of(*destination) && !answers_fabric(skb)) {
		return IST_FRAME_RESERVED;
	}
	if (!is_senders_own(skb, sender, __builtin_offsetof(struct frame, tcp), bpf_htonl(*destination)))
		return IST_STRANGERS_SOCKET;
	return IST_ALLOWED;
}

/* The link of an instance of this runner, or 0. */
static __always_inline __u32 local_link(const struct ist_identity *sender, __u32 destination)
{
	__u32 ifindex = IST_IFINDEX(sender->deployment, destination);

	/* The number of a link has an address's offset in the range, which others would share. */
	if (!in_range(destination))
		return 0;
	return bpf_map_lookup_elem(&fabric_links, &ifindex) ? ifindex : 0;
}
