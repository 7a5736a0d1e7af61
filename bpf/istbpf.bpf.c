// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Entry points only: each reads its context, asks for a decision and carries it out. */

#include <linux/bpf.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "backstop.h"
#include "congestion.h"
#include "connect.h"
#include "connections.h"
#include "denial.h"
#include "egress.h"
#include "errno_contract.h"
#include "explain.h"
#include "fabric.h"
#include "held_connect.h"
#include "listeners.h"
#include "maps.h"
#include "own_sockets.h"
#include "socket_constants.h"
#include "socket_options.h"

/* What the kernel takes from cgroup programs. */
#define PASS 1
#define DENY 0

static __always_inline struct ist_identity *caller(void)
{
	return bpf_get_local_storage(&cgroup_identity, 0);
}

/* Refuses a socket call of the current process; `event` says what it attempted. */
static __always_inline int
refuse(const struct ist_identity *identity, enum ist_reason reason, struct ist_event *event)
{
	event->pid = bpf_get_current_pid_tgid() >> 32;
	bpf_get_current_comm(event->command, sizeof(event->command));
	deny(identity, reason, event);
	bpf_set_retval(-errno_of(reason));
	return DENY;
}

/* Carries a decision on a call with an IPv4 address out. */
static __always_inline int answer4(struct bpf_sock_addr *context, enum ist_reason reason)
{
	struct ist_event event = {};

	if (reason == IST_ALLOWED)
		return PASS;
	event.protocol = context->protocol;
	event.peer_port = bpf_ntohs(context->user_port);
	set_peer_ipv4(&event, context->user_ip4);
	return refuse(caller(), reason, &event);
}

/* The same with an IPv6 address, which may be a v4-mapped one. */
static __always_inline int answer6(struct bpf_sock_addr *context, enum ist_reason reason)
{
	struct ist_event event = {};

	if (reason == IST_ALLOWED)
		return PASS;
	event.protocol = context->protocol;
	event.peer_port = bpf_ntohs(context->user_port);
	event.peer[0] = context->user_ip6[0];
	event.peer[1] = context->user_ip6[1];
	event.peer[2] = context->user_ip6[2];
	event.peer[3] = context->user_ip6[3];
	return refuse(caller(), reason, &event);
}

/* The kernel's, of which only the name is used here. */
struct mptcp_sock {
} __attribute__((preserve_access_index));

/* The program's own socket, where the one that connects is its first subflow (MPTCP): getpeername() asks for that. */
static __always_inline void remember_for_mptcp(struct bpf_sock_addr *context, __u32 asked)
{
	struct connection *connection;
	struct mptcp_sock *socket;

	if (!bpf_core_type_exists(struct mptcp_sock) || !context->sk)
		return;
	socket = bpf_skc_to_mptcp_sock(context->sk);
	if (!socket)
		return;
	connection = bpf_sk_storage_get(&connections, socket, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	if (connection)
		connection->asked = asked;
}

/* Keeps the address that the program asked for, for getpeername(), and who asked, for events. */
static __always_inline void remember_request(struct bpf_sock_addr *context, __u32 asked, __u32 got)
{
	struct connection *connection;

	remember_for_mptcp(context, asked == got ? 0 : asked);
	if (is_loopback(bpf_ntohl(got))) {
		bpf_sk_storage_delete(&connections, context->sk);
		return;
	}
	connection = bpf_sk_storage_get(&connections, context->sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	if (!connection)
		return;
	connection->asked = asked == got ? 0 : asked;
	connection->pid = bpf_get_current_pid_tgid() >> 32;
	bpf_get_current_comm(connection->command, sizeof(connection->command));
	connection->established = 0;
	connection->incoming = 0;
}

/* Whether the socket that connects has this port itself, in host byte order. */
static __always_inline int is_bound_to(struct bpf_sock_addr *context, __u16 port)
{
	struct bpf_sock *sk = context->sk;

	return sk && sk->src_port == port;
}

/*
 * What of a connect that the rules allow stays inside the instance's network namespace: it goes to a socket of
 * the instance or to none. Told at once: a packet that is dropped later would be waited for. Nobody at the
 * address is answered here too, since rules of NAT that an engine made can lead from there to its own socket.
 */
static __always_inline int
answer_inside(struct bpf_sock_addr *context, enum listener whose, struct ist_event *event)
{
	if (whose == LISTENER_OWN)
		return PASS;
	if (whose == LISTENER_STRANGER) {
		event->protocol = context->protocol;
		event->peer_port = bpf_ntohs(context->user_port);
		return refuse(caller(), IST_STRANGERS_SOCKET, event);
	}
	/* Or to the very socket that connects, which TCP allows (RFC 9293 3.5: simultaneous open). */
	if (is_bound_to(context, bpf_ntohs(context->user_port)))
		return PASS;
	bpf_set_retval(-ECONNREFUSED);
	return DENY;
}

/* `address` is that of a connect by IPv4, in network byte order, after the decision. */
static __always_inline int connect_inside4(struct bpf_sock_addr *context, __u32 address)
{
	const struct ist_identity *identity = caller();
	__u32 host_order = bpf_ntohl(address);
	struct bpf_sock_tuple to = {};
	struct ist_event event = {};

	if (!is_loopback(host_order) && !(is_identified(identity) && host_order == identity->address))
		return PASS;
	/* As the kernel has it. */
	to.ipv4.daddr = host_order ? address : bpf_htonl(INADDR_LOOPBACK);
	to.ipv4.saddr = to.ipv4.daddr;
	to.ipv4.dport = context->user_port;
	set_peer_ipv4(&event, to.ipv4.daddr);
	return answer_inside(context, whose_listener(identity, context, &to, sizeof(to.ipv4)), &event);
}

/* The same to ::1. */
static __always_inline int connect_inside6(struct bpf_sock_addr *context)
{
	struct bpf_sock_tuple to = {};
	struct ist_event event = { .peer[3] = bpf_htonl(1) };

	to.ipv6.daddr[3] = bpf_htonl(1);
	to.ipv6.saddr[3] = bpf_htonl(1);
	to.ipv6.dport = context->user_port;
	return answer_inside(context, whose_listener(caller(), context, &to, sizeof(to.ipv6)), &event);
}

/* connect() to an IPv4 address, plain or v4-mapped; `address` points into the context's copy. */
static __always_inline enum ist_reason connect_ipv4(struct bpf_sock_addr *context, __u32 *address)
{
	struct connect_request request = {
		.protocol = context->protocol,
		.address = bpf_ntohl(*address),
		.port = bpf_ntohs(context->user_port),
	};
	__u64 *rule;
	enum ist_reason reason = decide_connect(caller(), &request, &rule);
	__u32 asked = *address;

	if (reason == IST_ALLOWED) {
		count_connection(rule);
		*address = bpf_htonl(request.address);
		remember_request(context, asked, *address);
	}
	return reason;
}

SEC("cgroup/connect4")
int ist_connect4(struct bpf_sock_addr *context)
{
	__u32 address = context->user_ip4;
	enum ist_reason reason = connect_ipv4(context, &address);

	if (reason != IST_ALLOWED)
		return answer4(context, reason);
	context->user_ip4 = address;
	return connect_inside4(context, address);
}

static __always_inline int is_v4_mapped(const struct bpf_sock_addr *context)
{
	return !context->user_ip6[0] && !context->user_ip6[1] && context->user_ip6[2] == bpf_htonl(0xffff);
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
	__u32 address = context->user_ip6[3];
	enum ist_reason reason;

	if (is_v4_mapped(context)) {
		reason = connect_ipv4(context, &address);
		if (reason != IST_ALLOWED)
			return answer6(context, reason);
		context->user_ip6[3] = address;
		return connect_inside4(context, address);
	}
	if (!is_ipv6_loopback(context))
		return answer6(context, context->protocol == IPPROTO_UDP ? IST_UDP : IST_IPV6);
	/* The same rules as for 127.0.0.1. */
	address = bpf_htonl(INADDR_LOOPBACK);
	reason = connect_ipv4(context, &address);
	return reason == IST_ALLOWED ? connect_inside6(context) : answer6(context, reason);
}

/* The program sees the address that it asked for, not the instance that it got. */
static __always_inline __u32 asked_address(struct bpf_sock_addr *context)
{
	const struct connection *connection = bpf_sk_storage_get(&connections, context->sk, NULL, 0);

	return connection ? connection->asked : 0;
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
	return answer4(context, IST_UDP);
}

SEC("cgroup/sendmsg6")
int ist_sendmsg6(struct bpf_sock_addr *context)
{
	return answer6(context, IST_UDP);
}

/*
 * UDP sockets come into being, so that getaddrinfo()'s probing fails softly; they can send
 * nothing, and are bound to lo, so that none receives from another interface. Unbinding takes
 * CAP_NET_RAW. The other kinds are refused here, because several of them never meet another hook.
 */
SEC("cgroup/sock_create")
int ist_sock_create(struct bpf_sock *socket)
{
	__u32 protocol = socket->protocol;
	struct ist_event event = { .protocol = protocol };

	if (socket->type == SOCK_STREAM && (protocol == IPPROTO_TCP || protocol == IPPROTO_MPTCP))
		return PASS;
	if (socket->type == SOCK_DGRAM && protocol == IPPROTO_UDP) {
		socket->bound_dev_if = IST_LOOPBACK_IFINDEX;
		return PASS;
	}
	return refuse(caller(), IST_SOCKET_TYPE, &event);
}

SEC("cgroup/setsockopt")
int ist_setsockopt(struct bpf_sockopt *context)
{
	struct ist_event event = {};

	int is_allowed = !is_forbidden_option(context->level, context->optname) ||
			 (context->level == SOL_SOCKET && chooses_interface(context->optname) &&
			  is_own_interface(caller(), context));

	if (!is_allowed) {
		event.protocol = context->sk->protocol;
		return refuse(caller(), IST_SOCKET_OPTION, &event);
	}
	sign_for_instances(context);
	/* Before Linux 6.5 a value longer than a page fails unless the program says that it left it
	 * alone. */
	if (context->optlen > 4096)
		context->optlen = 0;
	return PASS;
}

static __always_inline int filter_packet(struct __sk_buff *skb, int outgoing)
{
	const struct ist_identity *identity = caller();
	struct packet packet = {};
	struct segment segment = {};
	enum ist_reason reason = IST_FOREIGN_PACKET;
	struct ist_event event = {};

	if (parse_packet(skb, outgoing, &packet))
		reason = decide_packet(identity, &packet);
	if (reason == IST_ALLOWED && packet.ifindex == IST_LOOPBACK_IFINDEX &&
	    is_strangers(skb, identity ? identity->cgroup_id : 0, outgoing))
		reason = IST_STRANGERS_SOCKET;
	if (reason == IST_ALLOWED)
		return PASS;
	/* Only here, so that traffic of the deployment never asks. */
	if (reason == IST_FOREIGN_PACKET && is_identified(identity) &&
	    parse_segment(skb, outgoing, &segment) && is_egress(identity, &packet, &segment, outgoing))
		return PASS;
	if (reason == IST_FOREIGN_PACKET && !outgoing)
		reason = IST_INBOUND;
	describe_packet(skb, 0, !outgoing, &event);
	deny(identity, reason, &event);
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

	if (identity && socket->op == BPF_SOCK_OPS_TCP_LISTEN_CB)
		mark_listener(identity, socket);
	if (!identity || !identity->deployment)
		return PASS;
	switch (socket->op) {
	case BPF_SOCK_OPS_TCP_LISTEN_CB:
		count_listener(identity, socket, 1);
		bpf_sock_ops_cb_flags_set(socket, socket->bpf_sock_ops_cb_flags | BPF_SOCK_OPS_STATE_CB_FLAG);
		break;
	case BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB:
		choose_congestion_control(socket);
		open_connection(identity, socket, 0);
		break;
	case BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB:
		choose_congestion_control(socket);
		open_connection(identity, socket, 1);
		break;
	case BPF_SOCK_OPS_STATE_CB:
		if (socket->args[0] == BPF_TCP_LISTEN)
			count_listener(identity, socket, -1);
		else
			follow_connection(identity, socket);
		break;
	}
	return PASS;
}

SEC("tc")
int ist_switch(struct __sk_buff *skb)
{
	__u32 ifindex = skb->ifindex, destination = 0;
	const struct ist_identity *sender = bpf_map_lookup_elem(&fabric_links, &ifindex);
	enum ist_reason reason = IST_FRAME_UNKNOWN_LINK;
	struct ist_event event = {};

	if (sender)
		reason = check_frame(skb, sender, &destination);
	if (reason != IST_ALLOWED) {
		describe_packet(skb, sizeof(struct ethhdr), 0, &event);
		deny(sender, reason, &event);
		return TC_ACT_SHOT;
	}
	ifindex = local_link(sender, destination);
	if (ifindex)
		return bpf_redirect_peer(ifindex, 0);
	/* Any other address is local to the fabric's own stack (AnyIP): the relay's, or nobody's, and
	 * then answered with RST. */
	return forward_remote(skb, sender, destination);
}

SEC("tc")
int ist_replay(struct __sk_buff *skb)
{
	return replay(skb);
}

/* Run by the daemon for `istbpf explain`. Not SEC("syscall"): such a program may sleep, and may not
 * use every map that connect uses. */
SEC("tc")
int ist_explain(struct __sk_buff *skb)
{
	return explain(skb);
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
