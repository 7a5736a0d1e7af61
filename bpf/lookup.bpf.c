// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The program of an instance's network namespace. It is an object of its own, loaded once for each
 * instance, since the kernel does not tell a sk_lookup program whose namespace it runs in.
 */

#include <linux/bpf.h>
#include <linux/in.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "addressing.h"
#include "denial.h"
#include "maps.h"
#include "socket_constants.h"

/* IST_IFINDEX of the instance, which is ist0's in this namespace. Set by the daemon before it is loaded. */
const volatile __u32 instance_ifindex SEC(".rodata.instance") = 0;

/* What came, as an event. */
static __always_inline void describe_lookup(const struct bpf_sk_lookup *context, struct ist_event *event)
{
	__u32 ipv4 = context->remote_ip4;

	/* Read here: clang would read either field by one instruction, with an offset that it adds to the
	 * context, which the verifier does not take. */
	asm volatile("" : "+r"(ipv4));
	event->incoming = 1;
	event->protocol = context->protocol;
	event->peer_port = bpf_ntohs(context->remote_port);
	event->own_port = context->local_port;
	if (context->family == AF_INET) {
		set_peer_ipv4(event, ipv4);
		return;
	}
	event->peer[0] = context->remote_ip6[0];
	event->peer[1] = context->remote_ip6[1];
	event->peer[2] = context->remote_ip6[2];
	event->peer[3] = context->remote_ip6[3];
}

/*
 * Who comes over another interface than lo and ist0 finds nobody listening, as if there were no socket: a
 * port that an engine publishes, a health check of the host, a neighbour on the bridge. The backstop would
 * drop the same packets, but silently for ports that have a listener, which would tell a stranger which
 * do; and a port without one it does not see.
 */
SEC("sk_lookup")
int ist_sk_lookup(struct bpf_sk_lookup *context)
{
	__u32 ifindex = instance_ifindex;
	const struct ist_identity *instance;
	struct ist_event event = {};

	/* No interface: it is connect that asks (own_sockets.h), not a packet. */
	if (!context->ingress_ifindex || context->ingress_ifindex == IST_LOOPBACK_IFINDEX ||
	    context->ingress_ifindex == ifindex)
		return SK_PASS;
	instance = bpf_map_lookup_elem(&fabric_links, &ifindex);
	if (!instance) {
		/* It is not identified, yet or any more. */
		count_denial(NULL, IST_INBOUND);
		return SK_DROP;
	}
	describe_lookup(context, &event);
	deny(instance, IST_INBOUND, &event);
	return SK_DROP;
}

char _license[] SEC("license") = "Dual BSD/GPL";
