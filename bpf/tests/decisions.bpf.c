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
#include "../egress.h"
#include "../errno_contract.h"
#include "../token_bucket.h"

struct connect_case {
	struct ist_identity identity;
	struct connect_request request;
	__u32 reason;
	__u32 error;
};

/* A program that may sleep, as SEC("syscall") may, can use no trie: the case comes as a packet. */
SEC("tc")
int test_connect(struct __sk_buff *skb)
{
	struct connect_case this;
	__u64 *rule;

	if (bpf_skb_load_bytes(skb, 0, &this, sizeof(this)))
		return -1;
	this.reason = decide_connect(&this.identity, &this.request, &rule);
	count_connection(rule);
	this.error = errno_of(this.reason);
	return bpf_skb_store_bytes(skb, 0, &this, sizeof(this), 0);
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

struct egress_case {
	struct ist_identity identity;
	struct packet packet;
	struct segment segment;
	__u32 outgoing;
	__u32 passes;
};

SEC("tc")
int test_egress(struct __sk_buff *skb)
{
	struct egress_case this;

	if (bpf_skb_load_bytes(skb, 0, &this, sizeof(this)))
		return -1;
	this.passes = is_egress(&this.identity, &this.packet, &this.segment, this.outgoing);
	return bpf_skb_store_bytes(skb, 0, &this, sizeof(this), 0);
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

struct token_case {
	__u64 due;
	__u64 now;
	__u64 interval;
	__u64 burst;
	__u32 taken;
	__u32 reserved;
};

SEC("syscall")
int test_take_token(struct token_case *context)
{
	__u64 due = context->due;

	context->taken = take_token(&due, context->now, context->interval, context->burst);
	context->due = due;
	return 0;
}

char _license[] SEC("license") = "Dual BSD/GPL";
