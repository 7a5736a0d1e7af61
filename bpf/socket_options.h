/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Options of sockets that a container may not set, although the kernel lets everyone: they lead
 * packets past the address that connect() was asked for, or have the kernel itself send some, which
 * no hook of a socket sees.
 */
#pragma once

#include <asm/socket.h>
#include <linux/in.h>
#include <linux/in6.h>

#include "socket_constants.h"

/* Another interface than the one of the route: 127.0.0.9 and the range over eth0. */
static __always_inline int chooses_interface(int name)
{
	return name == SO_BINDTODEVICE || name == SO_BINDTOIFINDEX;
}

/* Reports of IGMP and MLD go out over any interface, and name a group of the program's choice. */
static __always_inline int joins_group(int name)
{
	return name == MCAST_JOIN_GROUP || name == MCAST_JOIN_SOURCE_GROUP;
}

/* A source route sends a connect to a permitted address by way of any other. */
static __always_inline int is_forbidden_option(int level, int name)
{
	switch (level) {
	case SOL_SOCKET:
		return chooses_interface(name);
	case SOL_IP:
		return name == IP_OPTIONS || name == IP_ADD_MEMBERSHIP ||
		       name == IP_ADD_SOURCE_MEMBERSHIP || joins_group(name);
	case SOL_IPV6:
		return name == IPV6_RTHDR || name == IPV6_2292PKTOPTIONS ||
		       name == IPV6_ADD_MEMBERSHIP || name == IPV6_JOIN_ANYCAST ||
		       joins_group(name);
	default:
		return 0;
	}
}
