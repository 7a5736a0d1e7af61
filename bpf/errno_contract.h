/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The errno that each reason means to a program. */
#pragma once

#include <linux/errno.h>

#include <bpf/bpf_helpers.h>

#include "dataplane_abi.h"

/*
 * The errno contract: EPERM for policy (connect(2) documents it for a local firewall rule),
 * EHOSTUNREACH for an address of the range that is no declared service's, ECONNREFUSED for a
 * service that is declared but has no instance that could answer, and for what in its own network namespace
 * is not the instance's, as if it were not there.
 */
static __always_inline int errno_of(enum ist_reason reason)
{
	switch (reason) {
	case IST_ALLOWED:
		return 0;
	case IST_NO_SERVICE:
	case IST_EGRESS_REFUSED:
		return EHOSTUNREACH;
	case IST_NO_INSTANCE:
	case IST_STRANGERS_SOCKET:
		return ECONNREFUSED;
	default:
		return EPERM;
	}
}
