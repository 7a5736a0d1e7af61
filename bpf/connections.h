/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Connections that open and close, as events. Each is told once on a runner: by its caller's end,
 * and by the other where the caller is not on this runner. Work is done for each connection, none for
 * each packet. What stays inside the instance (loopback) is not told.
 */
#pragma once

#include <linux/bpf.h>
#include <linux/in.h>

#include <bpf/bpf_endian.h>

#include "addressing.h"
#include "events.h"
#include "fabric.h"
#include "maps.h"

static __always_inline int is_observed(void)
{
	__u32 zero = 0, *wanted = bpf_map_lookup_elem(&observed, &zero);

	return wanted && *wanted;
}

static __always_inline void
describe_connection(struct bpf_sock_ops *socket, const struct connection *connection, struct ist_event *event)
{
	event->protocol = IPPROTO_TCP;
	event->incoming = connection->incoming;
	event->pid = connection->pid;
	__builtin_memcpy(event->command, connection->command, sizeof(event->command));
	set_peer_ipv4(event, socket->remote_ip4);
	event->peer_port = bpf_ntohl(socket->remote_port);
	event->own_port = socket->local_port;
}

/* A connection is established. The IPv4 fields of a v4-mapped connection are set too. */
static __always_inline void
open_connection(const struct ist_identity *identity, struct bpf_sock_ops *socket, int incoming)
{
	__u32 peer = bpf_ntohl(socket->remote_ip4);
	struct ist_event event = { .kind = IST_EVENT_OPENED };
	struct bpf_sock *sk = socket->sk;
	struct connection *connection;

	if (!sk)
		return;
	if (is_loopback(peer) || peer == identity->address || (incoming && local_link(identity, peer))) {
		/* An accepted socket has the flags of its listener. */
		bpf_sock_ops_cb_flags_set(socket, 0);
		return;
	}
	connection = bpf_sk_storage_get(&connections, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	if (!connection)
		return;
	connection->incoming = incoming;
	connection->established = bpf_ktime_get_ns();
	bpf_sock_ops_cb_flags_set(socket, BPF_SOCK_OPS_STATE_CB_FLAG);
	if (!is_observed())
		return;
	describe_connection(socket, connection, &event);
	tell(identity, &event);
}

/*
 * tcp_sock's counters have a FIN as one byte, and a caller's have its SYN; a program sent neither.
 * Whether the other's FIN came is told by the state, but for FIN_WAIT2, which ends with the FIN or
 * with close(): there, whether anything came since.
 */
static __always_inline void
count_bytes(struct bpf_sock_ops *socket, const struct connection *connection, struct ist_event *event)
{
	__u32 state = socket->args[0];
	int own_fin = (state == BPF_TCP_FIN_WAIT1 || state == BPF_TCP_FIN_WAIT2 || state == BPF_TCP_CLOSING ||
		       state == BPF_TCP_LAST_ACK) &&
		      socket->snd_una == socket->snd_nxt;
	int peer_fin = state == BPF_TCP_CLOSE_WAIT || state == BPF_TCP_CLOSING || state == BPF_TCP_LAST_ACK ||
		       (state == BPF_TCP_FIN_WAIT2 && socket->bytes_received != connection->received_at_end);

	event->sent = socket->bytes_acked - own_fin - !connection->incoming;
	event->received = socket->bytes_received - peer_fin;
}

/* The state of a connection changes from args[0] to args[1]. */
static __always_inline void
follow_connection(const struct ist_identity *identity, struct bpf_sock_ops *socket)
{
	struct ist_event event = { .kind = IST_EVENT_CLOSED };
	struct bpf_sock *sk = socket->sk;
	struct connection *connection;

	if (!sk || (socket->args[1] != BPF_TCP_FIN_WAIT2 && socket->args[1] != BPF_TCP_CLOSE))
		return;
	connection = bpf_sk_storage_get(&connections, sk, NULL, 0);
	if (!connection || !connection->established)
		return;
	if (socket->args[1] == BPF_TCP_FIN_WAIT2) {
		connection->received_at_end = socket->bytes_received;
		return;
	}
	if (is_observed()) {
		describe_connection(socket, connection, &event);
		event.duration = bpf_ktime_get_ns() - connection->established;
		event.round_trip = socket->srtt_us >> 3;
		count_bytes(socket, connection, &event);
		tell(identity, &event);
	}
	connection->established = 0;
}
