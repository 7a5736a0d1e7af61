/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A true connect to another runner, or to outside: connect() must not succeed before the far end has accepted.
 *
 * The switch holds the SYN: it drops it and hands a copy to the daemon, which dials, through a tunnel or outward,
 * records the outcome for the flow and plays the SYN again into a link of its own in the fabric
 * (`ist_replay`). Accepted, it goes to the relay's listening socket; refused, to the stack, where
 * nobody listens, so that the kernel answers RST. A retransmitted SYN finds the flow pending and is
 * dropped, so nothing is dialled twice.
 */
#pragma once

#include <linux/if_ether.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_endian.h>

#include "events.h"
#include "fabric.h"
#include "maps.h"

/* The relay's listening socket in this namespace, or NULL: then the daemon is down, or alone. */
static __always_inline struct bpf_sock *relay_listener(struct __sk_buff *skb)
{
	struct bpf_sock_tuple to = {
		.ipv4.daddr = bpf_htonl(range_base + IST_GATEWAY_OFFSET),
		.ipv4.dport = bpf_htons(IST_RELAY_PORT),
	};

	return bpf_skc_lookup_tcp(skb, &to, sizeof(to.ipv4), BPF_F_CURRENT_NETNS, 0);
}

/* Gives the SYN to the relay's listener, whatever its destination. */
static __always_inline int assign_to_relay(struct __sk_buff *skb, struct bpf_sock *listener)
{
	return bpf_sk_assign(skb, listener, 0) ? TC_ACT_SHOT : TC_ACT_OK;
}

/* Whether the link may have one more SYN held in this second: a flood is its own instance's. */
static __always_inline int may_hold(__u32 ifindex)
{
	struct ist_hold_rate fresh = { .since = bpf_ktime_get_ns() };
	struct ist_hold_rate *rate = bpf_map_lookup_elem(&hold_rate, &ifindex);

	if (!rate) {
		bpf_map_update_elem(&hold_rate, &ifindex, &fresh, BPF_NOEXIST);
		return 1;
	}
	if (fresh.since - rate->since > SECOND) {
		rate->since = fresh.since;
		rate->held = 0;
	}
	return __sync_fetch_and_add(&rate->held, 1) < IST_HELD_PER_SECOND;
}

static __always_inline int is_polled(void)
{
	__u32 first = 0;
	const volatile __u32 *polled = bpf_map_lookup_elem(&held_polled, &first);

	return polled && *polled;
}

/*
 * Tells the daemon of the SYN. To wake it takes an interrupt to this CPU itself, which in a VM may be
 * 10 us; so it is not woken where it looks anyway. It may have ceased to meanwhile: it first says so,
 * then looks once more, then sleeps, and so has not seen this SYN only if that shows here.
 */
static __always_inline void submit(struct ist_held_syn *syn)
{
	void *nothing;

	if (!is_polled()) {
		bpf_ringbuf_submit(syn, 0);
		return;
	}
	bpf_ringbuf_submit(syn, BPF_RB_NO_WAKEUP);
	if (is_polled())
		return;
	nothing = bpf_ringbuf_reserve(&held_syns, sizeof(__u64), 0);
	if (nothing)
		bpf_ringbuf_discard(nothing, BPF_RB_FORCE_WAKEUP);
}

static __always_inline int is_initial_syn(const struct frame *frame)
{
	return frame->tcp.syn && !frame->tcp.ack;
}

/*
 * Whether the socket only waits for its peer's last ACK. A SYN behind that says that the peer has sent it: it may wait
 * for a thread that is just closing the socket, which the stack would not find any more a moment later (RST), or
 * find closed (no answer). So the SYN begins a new connection.
 */
static __always_inline int is_over(const struct bpf_sock *socket)
{
	return socket->state == BPF_TCP_LAST_ACK || socket->state == BPF_TCP_CLOSING ||
	       socket->state == BPF_TCP_CLOSE;
}

/*
 * Whether the relay has a socket for the frame's flow already: a late SYN is its socket's to answer. A
 * request gets the frame at once, as the stack, looking once more, may find nothing (is_being_accepted).
 */
static __always_inline int is_known(struct __sk_buff *skb, const struct frame *frame)
{
	struct bpf_sock_tuple flow = {
		.ipv4.saddr = frame->ip.saddr,
		.ipv4.daddr = frame->ip.daddr,
		.ipv4.sport = frame->tcp.source,
		.ipv4.dport = frame->tcp.dest,
	};
	struct bpf_sock *socket = bpf_skc_lookup_tcp(skb, &flow, sizeof(flow.ipv4), BPF_F_CURRENT_NETNS, 0);
	int known;

	if (!socket)
		return 0;
	/* One that was replaced since the lookup is refused (bpf_sk_assign, Linux 6.6). */
	known = (socket->state != BPF_TCP_NEW_SYN_RECV || !bpf_sk_assign(skb, socket, 0)) &&
		!(is_initial_syn(frame) && is_over(socket));
	bpf_sk_release(socket);
	return known;
}

/* Hands the SYN to the daemon. Where that cannot be, the kernel of the caller sends it again. */
static __always_inline void
hold(struct __sk_buff *skb, const struct frame *frame, const struct ist_flow *flow)
{
	struct ist_flow_state *state = bpf_map_lookup_elem(&flows, flow);
	struct ist_flow_state fresh = { .outcome = IST_FLOW_PENDING };
	__u32 length = skb->len;
	struct ist_held_syn *syn;

	fresh.first_syn = fresh.last_syn = bpf_ktime_get_ns();
	if (state) {
		state->last_syn = fresh.last_syn;
		return;
	}
	if (length < sizeof(struct frame) || !may_hold(skb->ifindex))
		return;
	/* Two comparisons made one by the compiler are too much for the verifier of Linux 6.1. */
	barrier_var(length);
	if (length > IST_HELD_FRAME_SIZE)
		return;
	if (bpf_map_update_elem(&flows, flow, &fresh, BPF_NOEXIST))
		return;
	/*
	 * A SYN that was sent again just before the first one was accepted: between the last look and this one the relay
	 * may have got its connection, and its flow have been forgotten. It would be dialled twice.
	 */
	if (is_known(skb, frame))
		goto forget;
	syn = bpf_ringbuf_reserve(&held_syns, sizeof(*syn), 0);
	if (!syn)
		goto forget;
	syn->flow = *flow;
	syn->length = length;
	if (bpf_skb_load_bytes(skb, 0, syn->frame, length)) {
		bpf_ringbuf_discard(syn, 0);
		goto forget;
	}
	submit(syn);
	return;
forget:
	bpf_map_delete_elem(&flows, flow);
}

/*
 * Whether the relay is about to have a connection of this flow, which no lookup finds at the moment: until
 * Linux 6.19 the kernel takes the request out before it puts the connection in its place
 * (inet_ehash_insert), and the stack answers a segment that comes in between with RST. Callers meet it
 * here, as they do not where both ends are ordinary programs: their ACK leaves from the CPU on which the
 * SYN was played, and their first bytes from their own.
 */
static __always_inline int is_being_accepted(const struct ist_flow *flow)
{
	const struct ist_flow_state *state = bpf_map_lookup_elem(&flows, flow);

	return state && state->outcome == IST_FLOW_ACCEPTED;
}

/*
 * Notes that the caller answered the played SYN's answer with RST: it has closed its socket meanwhile, and no
 * connection will come.
 */
static __always_inline void note_abandoned(const struct ist_flow *flow)
{
	/* Not all of it constant: that would lie in .rodata, where range_base is alone. */
	struct ist_flow_state abandoned = { .outcome = IST_FLOW_ABANDONED, .last_syn = bpf_ktime_get_ns() };

	if (is_being_accepted(flow))
		bpf_map_update_elem(&flows, flow, &abandoned, BPF_EXIST);
}

/* A frame to an instance of another runner, to a service address that no program rewrote, or to outside. */
static __always_inline int
forward_remote(struct __sk_buff *skb, const struct ist_identity *sender, __u32 destination)
{
	const struct frame *frame = headers_of(skb, sizeof(*frame));
	struct ist_flow flow = {
		.deployment = sender->deployment,
		.source = sender->address,
		.destination = destination,
	};
	struct bpf_sock *listener;

	if (!frame)
		return TC_ACT_SHOT;
	flow.source_port = bpf_ntohs(frame->tcp.source);
	flow.destination_port = bpf_ntohs(frame->tcp.dest);
	if (frame->tcp.rst)
		note_abandoned(&flow);
	if (is_known(skb, frame))
		return TC_ACT_OK;
	listener = relay_listener(skb);
	if (!listener)
		return TC_ACT_OK;
	bpf_sk_release(listener);
	if (is_initial_syn(frame)) {
		hold(skb, frame, &flow);
		return TC_ACT_SHOT;
	}
	/* TCP sends a dropped segment again. The flow is forgotten once the relay has its connection. */
	if (is_being_accepted(&flow) && !is_known(skb, frame))
		return TC_ACT_SHOT;
	return TC_ACT_OK;
}

/* A SYN that the daemon plays again, on its own link. */
static __always_inline int replay(struct __sk_buff *skb)
{
	const struct frame *frame = headers_of(skb, sizeof(*frame));
	/* The link's number names the deployment, as an instance's does. */
	struct ist_flow flow = { .deployment = skb->ifindex >> IST_OFFSET_BITS };
	struct bpf_sock *listener;
	int action;

	if (!frame || skb->protocol != bpf_htons(ETH_P_IP) || !is_initial_syn(frame))
		return TC_ACT_SHOT;
	flow.source = bpf_ntohl(frame->ip.saddr);
	flow.destination = bpf_ntohl(frame->ip.daddr);
	flow.source_port = bpf_ntohs(frame->tcp.source);
	flow.destination_port = bpf_ntohs(frame->tcp.dest);
	if (!is_being_accepted(&flow))
		return TC_ACT_OK;
	listener = relay_listener(skb);
	if (!listener)
		return TC_ACT_OK;
	action = assign_to_relay(skb, listener);
	bpf_sk_release(listener);
	return action;
}
