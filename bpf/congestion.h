/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * IST never leaves the runner: what goes to another one ends at the relay, whose tunnel has its own
 * congestion control. Between the two ends of a veth there is no path to probe and nothing to share,
 * so the host's default is not waited for: BBR would pace by timers, at a quarter of the speed (Linux
 * 6.18). Reno is built into every kernel, and without loss its window only grows.
 */
#pragma once

#include <linux/bpf.h>
#include <linux/in.h>
#include <linux/tcp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "addressing.h"

/* An IPv6 socket with a mapped address has the IPv4 one here too. */
static __always_inline void choose_congestion_control(struct bpf_sock_ops *socket)
{
	char name[] = "reno";

	if (in_range(bpf_ntohl(socket->remote_ip4)))
		bpf_setsockopt(socket, IPPROTO_TCP, TCP_CONGESTION, name, sizeof(name));
}
