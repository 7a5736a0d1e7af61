// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Entry points only: each reads its context, asks for a decision and carries it out. */

#include <linux/bpf.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "backstop.h"
#include "connect.h"
#include "denial.h"
#include "errno_contract.h"
#include "fabric.h"
#include "held_connect.h"
#include "listeners.h"
#include "maps.h"
#include "socket_constants.h"

/* What the kernel takes from cgroup programs. */
#define PASS 1
#define DENY 0

static __always_inline struct ist_identity *caller(void)
{
	return bpf_get_local_storage(&cgroup_identity, 0);
}

/* Carries a decision on a socket call out. */
static __always_inline int answer(const struct ist_identity *identity, enum ist_reason reason)
{
	if (reason == IST_ALLOWED)
		return PASS;
	count_denial(identity, reason);
	bpf_set_retval(-errno_of(reason));
	return DENY;
}

/* Keeps the address that the program asked for, for getpeername(); forgets an older one. */
static __always_inline void remember_request(struct bpf_sock_addr *context, __u32 asked, __u32 got)
{
	if (asked == got) {
		bpf_sk_storage_delete(&requested_address, context->sk);
		return;
	}
	bpf_sk_storage_get(&requested_address, context->sk, &asked, BPF_SK_STORAGE_GET_F_CREATE);
}

/* connect() to an IPv4 address, plain or v4-mapped; `address` points into the context's copy. */
static __always_inline enum ist_reason
connect_ipv4(struct bpf_sock_addr *context, const struct ist_identity *identity, __u32 *address)
{
	struct connect_request request = {
		.protocol = context->protocol,
		.address = bpf_ntohl(*address),
		.port = bpf_ntohs(context->user_port),
	};
	enum ist_reason reason = decide_connect(identity, &request);
	__u32 asked = *address;

	if (reason == IST_ALLOWED) {
		*address = bpf_htonl(request.address);
		remember_request(context, asked, *address);
	}
	return reason;
}

SEC("cgroup/connect4")
int ist_connect4(struct bpf_sock_addr *context)
{
	const struct ist_identity *identity = caller();
	__u32 address = context->user_ip4;
	enum ist_reason reason = connect_ipv4(context, identity, &address);

	if (reason == IST_ALLOWED)
		context->user_ip4 = address;
	return answer(identity, reason);
}

static __always_inline int is_v4_mapped(const struct bpf_sock_addr *context)
{
	return !context->user_ip6[0] && !context->user_ip6[1] &&
	       context->user_ip6[2] == bpf_htonl(0xffff);
}

/* ::1, and :: which the kernel takes for it. */
static __always_inline int is_ipv6_loopback(const struct bpf_sock_addr *context)
{
	return !context->user_ip6[0] && !context->user_ip6[1] && !context->user_ip6[2] &&
	       (!context->user_ip6[3] || context->user_ip6[3] == bpf_htonl(1));
}

SEC("cgroup/connect6")
int ist_connect6(struct bpf_sock_addr *context)
{
	const struct ist_identity *identity = caller();
	__u32 address = context->user_ip6[3];
	enum ist_reason reason;

	if (is_v4_mapped(context)) {
		reason = connect_ipv4(context, identity, &address);
		if (reason == IST_ALLOWED)
			context->user_ip6[3] = address;
		return answer(identity, reason);
	}
	if (!is_ipv6_loopback(context))
		return answer(identity, context->protocol == IPPROTO_UDP ? IST_UDP : IST_IPV6);
	/* The same rules as for 127.0.0.1. */
	address = bpf_htonl(0x7f000001);
	return answer(identity, connect_ipv4(context, identity, &address));
}

/* The program sees the address that it asked for, not the instance that it got. */
static __always_inline __u32 asked_address(struct bpf_sock_addr *context)
{
	const __u32 *asked = bpf_sk_storage_get(&requested_address, context->sk, NULL, 0);

	return asked ? *asked : 0;
}

SEC("cgroup/getpeername4")
int ist_getpeername4(struct bpf_sock_addr *context)
{
	__u32 asked = asked_address(context);

	if (asked)
		context->user_ip4 = asked;
	return PASS;
}

SEC("cgroup/getpeername6")
int ist_getpeername6(struct bpf_sock_addr *context)
{
	__u32 asked = asked_address(context);

	if (asked && is_v4_mapped(context))
		context->user_ip6[3] = asked;
	return PASS;
}

SEC("cgroup/sendmsg4")
int ist_sendmsg4(struct bpf_sock_addr *context)
{
	return answer(caller(), IST_UDP);
}

SEC("cgroup/sendmsg6")
int ist_sendmsg6(struct bpf_sock_addr *context)
{
	return answer(caller(), IST_UDP);
}

/*
 * UDP sockets come into being, so that getaddrinfo()'s probing fails softly; they can send
 * nothing. The other kinds are refused here, because several of them never meet another hook.
 */
SEC("cgroup/sock_create")
int ist_sock_create(struct bpf_sock *socket)
{
	const struct ist_identity *identity = caller();
	__u32 protocol = socket->protocol;

	if (!identity || !identity->deployment)
		return answer(identity, IST_UNIDENTIFIED);
	if (socket->type == SOCK_STREAM && (protocol == IPPROTO_TCP || protocol == IPPROTO_MPTCP))
		return PASS;
	if (socket->type == SOCK_DGRAM && protocol == IPPROTO_UDP)
		return PASS;
	return answer(identity, IST_SOCKET_TYPE);
}

static __always_inline int filter_packet(struct __sk_buff *skb, int outgoing)
{
	const struct ist_identity *identity = caller();
	struct packet packet = {};
	enum ist_reason reason = IST_FOREIGN_PACKET;

	if (parse_packet(skb, outgoing, &packet))
		reason = decide_packet(identity, &packet);
	if (reason == IST_ALLOWED)
		return PASS;
	count_denial(identity, reason);
	return DENY;
}

SEC("cgroup_skb/ingress")
int ist_ingress(struct __sk_buff *skb)
{
	return filter_packet(skb, 0);
}

SEC("cgroup_skb/egress")
int ist_egress(struct __sk_buff *skb)
{
	return filter_packet(skb, 1);
}

SEC("sockops")
int ist_sockops(struct bpf_sock_ops *socket)
{
	struct ist_identity *identity = caller();

	if (!identity || !identity->deployment)
		return PASS;
	if (socket->op == BPF_SOCK_OPS_TCP_LISTEN_CB) {
		count_listener(identity, socket, 1);
		bpf_sock_ops_cb_flags_set(socket, socket->bpf_sock_ops_cb_flags |
						  BPF_SOCK_OPS_STATE_CB_FLAG);
	} else if (socket->op == BPF_SOCK_OPS_STATE_CB && socket->args[0] == BPF_TCP_LISTEN) {
		count_listener(identity, socket, -1);
	}
	return PASS;
}

SEC("tc")
int ist_switch(struct __sk_buff *skb)
{
	__u32 ifindex = skb->ifindex, destination = 0;
	const struct ist_identity *sender = bpf_map_lookup_elem(&fabric_links, &ifindex);
	enum ist_reason reason = IST_FRAME_UNKNOWN_LINK;

	if (sender)
		reason = check_frame(skb, sender, &destination);
	if (reason != IST_ALLOWED) {
		count_denial(sender, reason);
		return TC_ACT_SHOT;
	}
	ifindex = local_link(sender, destination);
	if (ifindex)
		return bpf_redirect_peer(ifindex, 0);
	/* Any other address of the range is local to the fabric's own stack (AnyIP): the relay's, or
	 * nobody's, and then answered with RST. */
	return forward_remote(skb, sender, destination);
}

SEC("tc")
int ist_replay(struct __sk_buff *skb)
{
	return replay(skb);
}

/* Run by the daemon when an instance ended, so that its bits are cleared atomically. */
SEC("syscall")
int ist_forget_listening(struct ist_listener_key *context)
{
	struct ist_listener_key key = *context;

	forget_listening(&key);
	return 0;
}

char _license[] SEC("license") = "Dual BSD/GPL";
