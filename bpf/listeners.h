/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which ports an instance listens on, told by sockops. */
#pragma once

#include <linux/bpf.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>

#include "addressing.h"
#include "maps.h"
#include "socket_constants.h"

enum bound_to { BOUND_REACHABLE, BOUND_LOOPBACK, BOUND_ELSEWHERE };

/* The kernel's, as far as it is read here. Where the bit is, the kernel's own BTF says. */
struct sock_common {
	unsigned char skc_ipv6only : 1;
} __attribute__((preserve_access_index));

/* Whether an IPv6 socket takes no IPv4. No helper tells: bpf_getsockopt() does not know IPV6_V6ONLY. The
 * bit cannot change once the socket is bound. */
static __always_inline int is_ipv6_only(struct bpf_sock_ops *socket)
{
	struct bpf_sock *sk = socket->sk;
	struct tcp6_sock *tcp = sk ? bpf_skc_to_tcp6_sock(sk) : NULL;

	return tcp && BPF_CORE_READ_BITFIELD((struct sock_common *)tcp, skc_ipv6only);
}

/* Where a listening socket can be reached: ist0's address and the wildcards are for everyone. */
static __always_inline enum bound_to bound_to(struct bpf_sock_ops *socket, __u32 own)
{
	__u32 address;

	if (socket->family == AF_INET6) {
		__u32 a = socket->local_ip6[0], b = socket->local_ip6[1];
		__u32 c = socket->local_ip6[2], d = socket->local_ip6[3];

		if (!(a | b | c | d))
			return is_ipv6_only(socket) ? BOUND_ELSEWHERE : BOUND_REACHABLE;
		if (!(a | b | c) && d == bpf_htonl(1))
			return BOUND_LOOPBACK;
		if (a | b || c != bpf_htonl(0xffff))
			return BOUND_ELSEWHERE;
		address = bpf_ntohl(d);
	} else {
		address = bpf_ntohl(socket->local_ip4);
	}
	if (address == 0 || address == own)
		return BOUND_REACHABLE;
	return address >> 24 == LOOPBACK_NET ? BOUND_LOOPBACK : BOUND_ELSEWHERE;
}

static __always_inline void set_listening(struct ist_listening *all, __u32 instance, int on)
{
	__u32 word = instance / 64;
	__u64 bit = 1ull << (instance & 63);

	if (word >= IST_INSTANCE_WORDS)
		return;
	if (on)
		__sync_fetch_and_or(&all->instances[word], bit);
	else
		__sync_fetch_and_and(&all->instances[word], ~bit);
}

/* The two values of a port, made if they are not there and `make` is set. */
static __always_inline int lookup_port(struct ist_identity *identity, __u32 port, int make,
				       struct locked_listener **listener, struct ist_listening **all)
{
	struct ist_listener_key key = {
		.deployment = identity->deployment,
		.address = identity->address,
		.port = port,
	};
	struct ist_service_port at = {
		.deployment = identity->deployment,
		.service = service_of(identity->address),
		.port = port,
	};
	struct locked_listener none = {};
	struct ist_listening nobody = {};

	*listener = bpf_map_lookup_elem(&listeners, &key);
	if (!*listener && make && identity->listeners < IST_LISTENERS_PER_INSTANCE &&
	    !bpf_map_update_elem(&listeners, &key, &none, BPF_NOEXIST)) {
		__sync_fetch_and_add(&identity->listeners, 1);
		*listener = bpf_map_lookup_elem(&listeners, &key);
	}
	*all = bpf_map_lookup_elem(&listening, &at);
	if (!*all && make) {
		bpf_map_update_elem(&listening, &at, &nobody, BPF_NOEXIST);
		*all = bpf_map_lookup_elem(&listening, &at);
	}
	return *listener && *all;
}

/* A socket began (`change` 1) or ceased (-1) to listen. */
static __always_inline void
count_listener(struct ist_identity *identity, struct bpf_sock_ops *socket, int change)
{
	enum bound_to where = bound_to(socket, identity->address);
	__u32 instance = octet_of(identity->address);
	struct locked_listener *listener;
	struct ist_listening *all;

	/* Port 0: the kernel is yet to choose one. Nobody asks for such a port by the service's
	 * name. */
	if (where == BOUND_ELSEWHERE || !socket->local_port)
		return;
	/* A network namespace that a program of the instance made itself, which ist0 is not in. */
	if (identity->netns_cookie && bpf_get_netns_cookie(socket) != identity->netns_cookie)
		return;
	if (!lookup_port(identity, socket->local_port, change > 0, &listener, &all))
		return;
	/* The lock keeps the count and the instance's bit of one mind. */
	bpf_spin_lock(&listener->lock);
	if (where == BOUND_LOOPBACK) {
		if (change > 0 || listener->loopback)
			listener->loopback += change;
	} else {
		if (change > 0 || listener->reachable)
			listener->reachable += change;
		set_listening(all, instance, listener->reachable != 0);
	}
	bpf_spin_unlock(&listener->lock);
}

/*
 * Clears an instance's bit of a port: for a listening socket that was passed to a process outside,
 * and so outlived the cgroup and its programs. `listeners` is the caller's to change: this runs in a
 * SEC("syscall") program, which may sleep, and Linux 6.1 lets no such program use a map that has a
 * spin lock in it.
 */
static __always_inline void forget_listening(const struct ist_listener_key *key)
{
	struct ist_service_port at = {
		.deployment = key->deployment,
		.service = service_of(key->address),
		.port = key->port,
	};
	struct ist_listening *all = bpf_map_lookup_elem(&listening, &at);

	if (!all)
		return;
	set_listening(all, octet_of(key->address), 0);
	if (!(all->instances[0] | all->instances[1] | all->instances[2] | all->instances[3]))
		bpf_map_delete_elem(&listening, &at);
}
