/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Every map: who writes it, who reads it, how long it lives. All but `hold_rate` are pinned below
 * bpffs, so that the data path goes on without the daemon and the next daemon adopts it. Keys and
 * values: dataplane_abi.h.
 */
#pragma once

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "dataplane_abi.h"

/* ist_listener as BPF sees it: the verifier must know the lock for what it is. */
struct locked_listener {
	struct bpf_spin_lock lock;
	__u32 reachable;
	__u32 loopback;
};
_Static_assert(sizeof(struct locked_listener) == sizeof(struct ist_listener), "ist_listener");

/* [0]: IST_ABI_VERSION, [1]: first address of the range. Daemon writes, daemon and inspect read. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u32);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} layout SEC(".maps");

/*
 * Who is calling: one value for each cgroup that the programs are attached to, nested cgroups
 * included. The kernel makes it (zeroed: unidentified) at the first attachment and
 * frees it with the cgroup; the daemon fills it in.
 */
struct {
	__uint(type, BPF_MAP_TYPE_CGROUP_STORAGE);
	__type(key, __u64);
	__type(value, struct ist_identity);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} cgroup_identity SEC(".maps");

/* Names of deployments. Daemon writes, inspect reads. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, IST_LAST_DEPLOYMENT);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct ist_deployment);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} deployments SEC(".maps");

/* Declared services and their instances. Daemon writes whole values, connect reads. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct ist_service_key);
	__type(value, struct ist_service);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} services SEC(".maps");

/* The ways out that services are allowed, with the connections that took each. Daemon writes keys,
 * connect and the backstop read them, connect counts. */
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct ist_egress_key);
	__type(value, __u64);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} egress SEC(".maps");

/* The fabric ends of the instances' links, by ifindex. Daemon writes, tc reads. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct ist_identity);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} fabric_links SEC(".maps");

/* Which instances of a service listen on a port. sockops writes, connect reads; the daemon takes
 * out what is left of an instance that ended. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct ist_service_port);
	__type(value, struct ist_listening);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} listening SEC(".maps");

/* How many sockets of an instance listen on a port. Written as `listening` is. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct ist_listener_key);
	__type(value, struct locked_listener);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} listeners SEC(".maps");

/* Connections to other runners between SYN and accept. tc makes entries, the daemon decides and
 * removes them; LRU, so that what a daemon that died left behind gives way. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct ist_flow);
	__type(value, struct ist_flow_state);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} flows SEC(".maps");

/* SYNs that wait for the daemon's word. tc writes, the daemon reads. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4 * 1024 * 1024);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} held_syns SEC(".maps");

/* [0]: whether the daemon looks at `held_syns` again and again, and need not be woken. Daemon writes, in
 * its own memory, tc reads. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, __u32);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} held_polled SEC(".maps");

/* How many SYNs each link has had held, by ifindex. tc alone. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, __u32);
	__type(value, struct ist_hold_rate);
} hold_rate SEC(".maps");

/* Denials since the service was declared. Every program writes, inspect and status read. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct ist_denial_key);
	__type(value, __u64);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} denials SEC(".maps");

/* What happened, for who observes it. Every program writes, the daemon reads. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1024 * 1024);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} events SEC(".maps");

/* How much of an instance was told, by ifindex; 0 where it is not known. Every program writes, the
 * daemon reads, and takes out those of instances that ended. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16385);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct ist_event_rate);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} event_rates SEC(".maps");

/* [0]: whether anybody wants to know of connections. Daemon writes, sockops reads. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} observed SEC(".maps");

/* What is known of a connection: set by connect(), and once it is established. BPF's own, but pinned:
 * a change raises IST_ABI_VERSION too. */
struct connection {
	/* The address that the program asked connect() for, where that was rewritten; else 0. Network
	 * byte order. */
	__u32 asked;
	__u32 pid; /* of the caller; 0 where it was accepted */
	char command[IST_COMMAND_SIZE];
	__u64 established;     /* CLOCK_MONOTONIC, ns; 0 before and after */
	__u64 received_at_end; /* bytes received when the other had all of ours, FIN included */
	__u32 incoming;
	__u32 reserved;
};

/* Lives with the socket, outlives a disconnect: every connect overwrites it. Pinned, since the next
 * daemon's programs take over the connections too. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct connection);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} connections SEC(".maps");

/* The cgroup id of the instance whose socket listens; on no other sockets. sockops writes, connect reads. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, __u64);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} own_listeners SEC(".maps");
