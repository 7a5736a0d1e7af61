/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Options of sockets that a container may not set, although the kernel lets everyone: they lead
 * packets past the address that connect() was asked for, or have the kernel itself send some, which
 * no hook of a socket sees. And one that is changed.
 */
#pragma once

#include <asm/socket.h>
#include <linux/bpf.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/tcp.h>

#include <bpf/bpf_endian.h>

#include "addressing.h"
#include "socket_constants.h"

/* Another interface than the one of the route: 127.0.0.9 and the range over eth0. */
static __always_inline int chooses_interface(int name)
{
	return name == SO_BINDTODEVICE || name == SO_BINDTOIFINDEX;
}

/*
 * Whether the interface is ist0, or none: there the switch looks at each packet. For TCP: what binds a UDP socket
 * to lo stays.
 */
static __always_inline int is_own_interface(const struct ist_identity *identity, struct bpf_sockopt *context)
{
	const char *name = context->optval, *end = context->optval_end;
	const __u32 *ifindex = context->optval;

	if (!is_identified(identity) || !context->sk || context->sk->protocol == IPPROTO_UDP)
		return 0;
	if (context->optname == SO_BINDTOIFINDEX)
		return (const char *)(ifindex + 1) <= end && (!*ifindex || *ifindex == identity->ifindex);
	if (name + 1 > end || !name[0])
		return 1;
	/* What is not a whole name is one of fewer letters. */
	if (name + 4 > end || name[0] != 'i' || name[1] != 's' || name[2] != 't' || name[3] != '0')
		return 0;
	return name + 5 > end || !name[4];
}

/* Reports of IGMP and MLD go out over any interface, and name a group of the program's choice. */
static __always_inline int joins_group(int name)
{
	return name == MCAST_JOIN_GROUP || name == MCAST_JOIN_SOURCE_GROUP;
}

/*
 * A key for a service address is to be one for its instances too (TCP_MD5SIG): the segments are from one of these,
 * and all have the first 24 bits of the service's.
 */
static __always_inline void sign_for_instances(struct bpf_sockopt *context)
{
	struct tcp_md5sig *key = context->optval;
	struct sockaddr_in *peer = context->optval;
	__u32 address;

	if (context->level != IPPROTO_TCP || context->optname != TCP_MD5SIG ||
	    (void *)(key + 1) > context->optval_end || peer->sin_family != AF_INET)
		return;
	address = bpf_ntohl(peer->sin_addr.s_addr);
	if (!in_range(address) || !service_of(address) || octet_of(address) != IST_SERVICE_OCTET)
		return;
	key->tcpm_flags = TCP_MD5SIG_FLAG_PREFIX;
	key->tcpm_prefixlen = 24;
	context->optname = TCP_MD5SIG_EXT;
}

/* A source route sends a connect to a permitted address by way of any other. */
static __always_inline int is_forbidden_option(int level, int name)
{
	switch (level) {
	case SOL_SOCKET:
		return chooses_interface(name);
	case SOL_IP:
		return name == IP_OPTIONS || name == IP_ADD_MEMBERSHIP || name == IP_ADD_SOURCE_MEMBERSHIP ||
		       joins_group(name);
	case SOL_IPV6:
		return name == IPV6_RTHDR || name == IPV6_2292PKTOPTIONS || name == IPV6_ADD_MEMBERSHIP ||
		       name == IPV6_JOIN_ANYCAST || joins_group(name);
	default:
		return 0;
	}
}
