/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What connect() would decide, asked without a connection: the very decision, over the very maps. */
#pragma once

#include "connect.h"
#include "errno_contract.h"

/* The question comes as a packet, and the answer goes back in it. */
static __always_inline int explain(struct __sk_buff *skb)
{
	struct ist_explanation question;
	struct connect_request request = { .protocol = IPPROTO_TCP };

	if (bpf_skb_load_bytes(skb, 0, &question, sizeof(question)))
		return -1;
	request.address = question.address;
	request.port = question.port;
	question.reason = decide_connect(&question.caller, &request);
	if (question.reason == IST_ALLOWED && !in_range(request.address) &&
	    !is_loopback(request.address)) {
		__u64 *rule = egress_rule(&question.caller, request.address, request.port);

		/* The decision has counted a connection, and there is none. */
		if (rule)
			__sync_fetch_and_add(rule, -1);
	}
	question.error = errno_of(question.reason);
	question.chosen = request.address;
	return bpf_skb_store_bytes(skb, 0, &question, sizeof(question), 0);
}
