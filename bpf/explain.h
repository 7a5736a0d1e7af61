/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What connect() would decide, asked without a connection: the very decision, over the very maps. */
#pragma once

#include "connect.h"
#include "errno_contract.h"

/* The instances that an allowed connect to an address of the range may go to. */
static __always_inline void name_candidates(struct ist_explanation *question)
{
	struct ist_service_key key = {
		.deployment = question->caller.deployment,
		.service = service_of(question->address),
	};
	const struct ist_service *service = bpf_map_lookup_elem(&services, &key);
	__u32 octet = octet_of(question->address);
	struct candidates found;

	if (!service)
		return;
	if (octet == IST_SERVICE_OCTET) {
		find_candidates(service, &key, question->port, &found);
#pragma unroll
		for (int i = 0; i < IST_INSTANCE_WORDS; i++) {
			question->local[i] = found.local[i];
			question->remote[i] = found.remote ? found.remote[i] : 0;
		}
		return;
	}
#pragma unroll
	for (__u32 i = 0; i < IST_INSTANCE_WORDS; i++) {
		__u64 bit = octet / 64 == i ? 1ull << (octet & 63) : 0;

		question->local[i] = service->local[i] & bit;
		question->remote[i] = service->remote[i] & bit;
	}
}

/* The question comes as a packet, and the answer goes back in it. */
static __always_inline int explain(struct __sk_buff *skb)
{
	struct ist_explanation question;
	struct connect_request request = { .protocol = IPPROTO_TCP };
	__u64 *rule;

	if (bpf_skb_load_bytes(skb, 0, &question, sizeof(question)))
		return -1;
	request.address = question.address;
	request.port = question.port;
	question.reason = decide_connect(&question.caller, &request, &rule);
	if (question.reason == IST_ALLOWED && in_range(question.address))
		name_candidates(&question);
	question.error = errno_of(question.reason);
	question.chosen = request.address;
	return bpf_skb_store_bytes(skb, 0, &question, sizeof(question), 0);
}
