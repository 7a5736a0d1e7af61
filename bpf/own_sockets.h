/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which sockets are the instance's own. Others may have sockets in its network namespace: an engine that
 * puts a resolver there (Docker's 127.0.0.11), a container of the same pod, a person with nsenter. None of
 * them is guarded, and so none of them is reached over loopback, or reaches the instance, or is one that the
 * fabric takes for the instance.
 *
 * A socket is of the cgroup that made it, for ever. Connections are judged by their first segments: without
 * these there is none.
 */
#pragma once

#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>

#include <bpf/bpf_endian.h>

#include "addressing.h"
#include "maps.h"

/* As deep as cgroups are looked at from the root; engines nest them by five or six. What lies deeper is
 * taken for a stranger's. */
#define CGROUP_LEVELS 32

#define TCP_FLAGS_OFFSET 13
#define TCP_FLAG_SYN_BIT 0x02
#define TCP_FLAG_ACK_BIT 0x10

/* Whether the socket is of the cgroup with this id, or of one inside it. */
static __always_inline int is_in_cgroup(struct bpf_sock *sk, __u64 cgroup)
{
	for (int level = 0; level < CGROUP_LEVELS; level++) {
		__u64 id = bpf_sk_ancestor_cgroup_id(sk, level);

		if (!id)
			return 0;
		if (id == cgroup)
			return 1;
	}
	return 0;
}

/* A socket of the instance began to listen: connect() asks for this, since it cannot ask for cgroups. */
static __always_inline void mark_listener(const struct ist_identity *identity, struct bpf_sock_ops *socket)
{
	struct bpf_sock *sk = socket->sk;
	__u64 cgroup = identity->cgroup_id;
	__u64 *mark;

	if (!sk || !cgroup)
		return;
	mark = bpf_sk_storage_get(&own_listeners, sk, &cgroup, BPF_SK_STORAGE_GET_F_CREATE);
	if (mark)
		*mark = cgroup;
}

enum listener { LISTENER_NONE, LISTENER_OWN, LISTENER_STRANGER };

/* Whose socket would get a connection to these addresses, in the network namespace of the caller. Any source
 * port does, and none finds no connection but who listens. */
static __always_inline enum listener whose_listener(const struct ist_identity *identity,
						    struct bpf_sock_addr *context, struct bpf_sock_tuple *to,
						    __u32 size)
{
	struct bpf_sock *sk = bpf_sk_lookup_tcp(context, to, size, BPF_F_CURRENT_NETNS, 0);
	enum listener whose = LISTENER_STRANGER;
	__u64 *mark;

	if (!sk)
		return LISTENER_NONE;
	mark = bpf_sk_storage_get(&own_listeners, sk, NULL, 0);
	if (mark && identity && identity->cgroup_id && *mark == identity->cgroup_id)
		whose = LISTENER_OWN;
	bpf_sk_release(sk);
	return whose;
}

/* The addresses and ports of a segment, as the socket sees it that the segment comes to; the other way round
 * for `reversed`. 0 where there is none. `offset` is where the TCP header begins. */
static __always_inline int
read_ends4(struct __sk_buff *skb, int reversed, struct bpf_sock_tuple *ends, __u32 *offset)
{
	struct iphdr ip;
	__be16 ports[2];

	if (bpf_skb_load_bytes(skb, 0, &ip, sizeof(ip)))
		return 0;
	*offset = ip.ihl * 4;
	if (bpf_skb_load_bytes(skb, *offset, ports, sizeof(ports)))
		return 0;
	ends->ipv4.saddr = reversed ? ip.daddr : ip.saddr;
	ends->ipv4.daddr = reversed ? ip.saddr : ip.daddr;
	ends->ipv4.sport = ports[reversed ? 1 : 0];
	ends->ipv4.dport = ports[reversed ? 0 : 1];
	return 1;
}

static __always_inline int
read_ends6(struct __sk_buff *skb, int reversed, struct bpf_sock_tuple *ends, __u32 *offset)
{
	struct ipv6hdr ip;
	__be16 ports[2];

	*offset = sizeof(ip);
	if (bpf_skb_load_bytes(skb, 0, &ip, sizeof(ip)) ||
	    bpf_skb_load_bytes(skb, *offset, ports, sizeof(ports)))
		return 0;
	__builtin_memcpy(ends->ipv6.saddr, reversed ? &ip.daddr : &ip.saddr, 16);
	__builtin_memcpy(ends->ipv6.daddr, reversed ? &ip.saddr : &ip.daddr, 16);
	ends->ipv6.sport = ports[reversed ? 1 : 0];
	ends->ipv6.dport = ports[reversed ? 0 : 1];
	return 1;
}

/*
 * Whether a packet of TCP on lo is a first segment between the instance and a stranger: what it sends goes to
 * a stranger's socket, or what it gets was sent by one. Nobody at the other end of what it sends is no
 * stranger, the kernel answers with RST; nobody behind what it gets is one, by a raw socket.
 */
static __noinline int is_strangers(struct __sk_buff *skb, __u64 cgroup, int outgoing)
{
	struct bpf_sock_tuple ends = {};
	int is_ipv4 = skb->protocol == bpf_htons(ETH_P_IP), is_own;
	__u32 size = is_ipv4 ? sizeof(ends.ipv4) : sizeof(ends.ipv6), offset = 0;
	struct bpf_sock *sk;
	__u8 flags;

	if (is_ipv4 ? !read_ends4(skb, !outgoing, &ends, &offset)
		    : !read_ends6(skb, !outgoing, &ends, &offset))
		return 1;
	if (bpf_skb_load_bytes(skb, offset + TCP_FLAGS_OFFSET, &flags, sizeof(flags)))
		return 1;
	if ((flags & (TCP_FLAG_SYN_BIT | TCP_FLAG_ACK_BIT)) != TCP_FLAG_SYN_BIT)
		return 0;
	sk = bpf_sk_lookup_tcp(skb, &ends, size, BPF_F_CURRENT_NETNS, 0);
	if (!sk && outgoing) {
		/* The same ports had a connection before, whose rest hides who listens. */
		if (is_ipv4)
			ends.ipv4.sport = 0;
		else
			ends.ipv6.sport = 0;
		sk = bpf_sk_lookup_tcp(skb, &ends, size, BPF_F_CURRENT_NETNS, 0);
	}
	if (!sk)
		return !outgoing;
	is_own = cgroup && is_in_cgroup(sk, cgroup);
	bpf_sk_release(sk);
	return !is_own;
}

/*
 * Whether what answers to this answer comes to a listening socket of the instance `sender` itself, asked in its
 * network namespace: of several that share the port (SO_REUSEPORT) the kernel chooses by addresses and ports.
 */
static __always_inline int answers_as_listener(struct __sk_buff *skb, const struct ist_identity *sender,
					       __u32 peer, const struct tcphdr *tcp)
{
	struct bpf_sock_tuple to = {
		.ipv4.saddr = peer,
		.ipv4.daddr = bpf_htonl(sender->address),
		.ipv4.sport = tcp->dest,
		.ipv4.dport = tcp->source,
	};
	struct bpf_sock *sk;
	__u64 *mark;
	int is_own;

	if (!sender->netns_id)
		return 0;
	sk = bpf_sk_lookup_tcp(skb, &to, sizeof(to.ipv4), sender->netns_id - 1, 0);
	if (!sk)
		return 0;
	mark = bpf_sk_storage_get(&own_listeners, sk, NULL, 0);
	is_own = mark && *mark == sender->cgroup_id;
	bpf_sk_release(sk);
	return is_own;
}

/*
 * Whether a frame that the switch is given was sent by a socket of the instance `sender`, as far as it begins
 * or accepts a connection; its TCP header is at `offset`, and `peer` its destination in network byte order. An
 * answer that is a SYN cookie has no socket: then it counts who listens there.
 */
static __noinline int
is_senders_own(struct __sk_buff *skb, const struct ist_identity *sender, __u32 offset, __u32 peer)
{
	struct tcphdr tcp;

	if (bpf_skb_load_bytes(skb, offset, &tcp, sizeof(tcp)))
		return 0;
	if (!tcp.syn)
		return 1;
	for (int level = 0; level < CGROUP_LEVELS; level++) {
		__u64 id = bpf_skb_ancestor_cgroup_id(skb, level);

		if (!id)
			return !level && tcp.ack && answers_as_listener(skb, sender, peer, &tcp);
		if (id == sender->cgroup_id)
			return 1;
	}
	return 0;
}
