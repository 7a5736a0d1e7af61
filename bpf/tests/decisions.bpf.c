// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The decisions of the cgroup programs as programs that can be run from a test: the kernel has no
 * test run for sock_addr programs, and gives cgroup_skb's no identity. The decisions are the very
 * headers that istbpf.bpf.c includes.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "../backstop.h"
#include "../connect.h"
#include "../errno_contract.h"

struct connect_case {
	struct ist_identity identity;
	struct connect_request request;
	__u32 reason;
	__u32 error;
};

SEC("syscall")
int test_connect(struct connect_case *context)
{
	struct ist_identity identity = context->identity;
	struct connect_request request = context->request;

	context->reason = decide_connect(&identity, &request);
	context->error = errno_of(context->reason);
	context->request.address = request.address;
	return 0;
}

struct packet_case {
	struct ist_identity identity;
	struct packet packet;
	__u32 reason;
};

SEC("syscall")
int test_packet(struct packet_case *context)
{
	struct ist_identity identity = context->identity;
	struct packet packet = context->packet;

	context->reason = decide_packet(&identity, &packet);
	return 0;
}

struct bit_case {
	__u64 word;
	__u32 n;
	__u32 place;
};

SEC("syscall")
int test_nth_bit_set(struct bit_case *context)
{
	context->place = nth_bit_set(context->word, context->n);
	return 0;
}

char _license[] SEC("license") = "Dual BSD/GPL";
