/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The decision on connect(): without a context, so that bpf/tests can ask for it. */
#pragma once

#include <linux/in.h>

#include "addressing.h"
#include "egress.h"
#include "instance_selection.h"
#include "maps.h"

/* A connect() and what becomes of it. */
struct connect_request {
	__u32 protocol; /* IPPROTO_*, of the socket */
	__u32 address;	/* host byte order; rewritten to an instance address where it was a service's */
	__u16 port;	/* host byte order */
};

/* An address of the range: a service address is rewritten, an instance address stays. */
static __always_inline enum ist_reason
resolve(const struct ist_identity *identity, struct connect_request *request)
{
	struct ist_service_key key = {
		.deployment = identity->deployment,
		.service = service_of(request->address),
	};
	const struct ist_service *service = bpf_map_lookup_elem(&services, &key);
	__u32 octet = octet_of(request->address);

	if (!service)
		return IST_NO_SERVICE;
	if (octet == IST_SERVICE_OCTET) {
		__u32 instance = select_local_instance(service, &key, request->port);

		if (instance)
			request->address = (request->address & ~0xffu) | instance;
		/* One of another runner: the address stays, and the daemon, which the switch asks,
		 * tries one instance after the other. */
		else if (is_empty(service->remote))
			return IST_NO_INSTANCE;
		return IST_ALLOWED;
	}
	if (!is_instance_octet(octet))
		return IST_NO_SERVICE;
	if (!has_instance(service->local, octet) && !has_instance(service->remote, octet))
		return IST_NO_INSTANCE;
	return IST_ALLOWED;
}

/* `rule` becomes the count of the egress rule that allows it, for the caller to raise; NULL where none is
 * needed. */
static __always_inline enum ist_reason
decide_connect(const struct ist_identity *identity, struct connect_request *request, __u64 **rule)
{
	*rule = NULL;
	if (request->protocol == IPPROTO_UDP)
		return IST_UDP;
	if (request->protocol != IPPROTO_TCP && request->protocol != IPPROTO_MPTCP)
		return IST_SOCKET_TYPE;
	if (is_loopback(request->address))
		return IST_ALLOWED;
	if (!is_identified(identity))
		return IST_UNIDENTIFIED;
	if (in_range(request->address))
		return resolve(identity, request);
	*rule = egress_rule(identity, request->address, request->port);
	return *rule ? IST_ALLOWED : IST_FOREIGN_ADDRESS;
}

/* Counts an allowed connection. */
static __always_inline void count_connection(__u64 *rule)
{
	if (rule)
		__sync_fetch_and_add(rule, 1);
}
