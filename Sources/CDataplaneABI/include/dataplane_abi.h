/* SPDX-License-Identifier: Apache-2.0 OR (GPL-2.0-only OR BSD-2-Clause) */
/*
 * THE declaration of everything that the BPF programs (bpf/) and Swift (Sources/Dataplane) share:
 * the keys and values of the pinned maps, and their constants. Both compilers check the sizes and
 * offsets below. Whatever changes one of them must raise IST_ABI_VERSION.
 *
 * Addresses and ports are in host byte order, except where a field says otherwise: the plan of
 * addresses is arithmetic (Sources/Model/AddressPlan.swift). No field is a bool and every gap is a
 * named field, so that a key has no byte that one side leaves undefined.
 */
#pragma once

#include <linux/types.h>

/* The layout of the pinned state; kept in the map `layout`. */
#define IST_ABI_VERSION 1

/* The range of addresses is a /15; the low 17 bits of an address are its offset in it. */
#define IST_OFFSET_BITS 17
#define IST_OFFSET_MASK ((1u << IST_OFFSET_BITS) - 1)

/* The last octet of an address within the /24 of its service. */
#define IST_SERVICE_OCTET 1
#define IST_FIRST_INSTANCE 2
#define IST_LAST_INSTANCE 254

/* A deployment's id on this runner is 1 to 16383: see IST_IFINDEX. */
#define IST_LAST_DEPLOYMENT 16383

/*
 * The ifindex of an instance's links, both the fabric's end and ist0: deployment id and offset of
 * the instance address. So one number, the same in every namespace, names an instance on the whole
 * runner, and tc finds the link of a destination by arithmetic.
 */
#define IST_IFINDEX(deployment, address) \
	((deployment) << IST_OFFSET_BITS | ((address) & IST_OFFSET_MASK))

/* The kernel gives lo this ifindex in every namespace. */
#define IST_LOOPBACK_IFINDEX 1

/* A service's or deployment's name: UTF-8, padded with NUL, at least one. */
#define IST_NAME_SIZE 128

/* Instances of a service as bits: instance n is bit n & 63 of word n >> 6. */
#define IST_INSTANCE_WORDS 4

/* Ports that one instance may have in `listeners` at once, so that none can fill the map. */
#define IST_LISTENERS_PER_INSTANCE 1024

/* Who sends: a value of `cgroup_identity` (by cgroup) and of `fabric_links` (by ifindex). */
struct ist_identity {
	__u64 cgroup_id;	/* of the instance's cgroup */
	__u32 deployment;	/* 0: not known yet, and everything is denied */
	__u32 address;		/* of the instance */
	__u32 ifindex;		/* IST_IFINDEX(deployment, address) */
	__u32 listeners;	/* ports of it in `listeners`; kept by BPF in `cgroup_identity` */
};

struct ist_service_key {
	__u32 deployment;
	__u32 service;		/* number, 1 to 510 */
};

/* A declared service, and where its instances are. */
struct ist_service {
	__u64 local[IST_INSTANCE_WORDS];	/* on this runner */
	__u64 remote[IST_INSTANCE_WORDS];	/* on other runners */
	__u32 port;				/* its deployment.port */
	__u32 reserved;
	char name[IST_NAME_SIZE];
};

struct ist_deployment {
	char name[IST_NAME_SIZE];
};

/* Which local instances of a service listen on a port: lets a connect avoid one that is starting. */
struct ist_service_port {
	__u32 deployment;
	__u16 service;
	__u16 port;
};

struct ist_listening {
	__u64 instances[IST_INSTANCE_WORDS];
};

struct ist_listener_key {
	__u32 deployment;
	__u32 address;		/* of the instance */
	__u32 port;
};

/* Listening sockets of an instance on a port (SO_REUSEPORT makes several). */
struct ist_listener {
	__u32 lock;		/* a struct bpf_spin_lock to BPF */
	__u32 reachable;	/* bound to the wildcard or the instance address */
	__u32 loopback;		/* bound to an address that only the instance itself reaches */
};

/* The relay listens on the gateway's address and this port in every fabric. No instance can reach
 * the port by itself: the switch drops frames to the fabric's own block. */
#define IST_RELAY_PORT 15001

/* A SYN with more than this is not held: only data of TCP fast open makes one so long, and the
 * caller's kernel sends it again without. */
#define IST_HELD_FRAME_SIZE 124

/* SYNs that are held for one link in a second; more are dropped, and sent again by the caller. */
#define IST_HELD_PER_SECOND 4096

/* A connection to another runner that is not accepted yet. */
struct ist_flow {
	__u32 deployment;
	__u32 source;
	__u32 destination;
	__u16 source_port;
	__u16 destination_port;
};

/* What became of it: values of the map `flows`. */
enum ist_flow_outcome {
	IST_FLOW_PENDING = 0,
	IST_FLOW_ACCEPTED = 1,
};

/* A record of the ring buffer `held_syns`. */
struct ist_held_syn {
	struct ist_flow flow;
	__u32 length;		/* of the frame */
	__u8 frame[IST_HELD_FRAME_SIZE];	/* from the Ethernet header on; TCP checksum partial */
};

struct ist_hold_rate {
	__u64 since;		/* CLOCK_MONOTONIC, ns */
	__u32 held;		/* since then */
	__u32 reserved;
};

/* Why something was denied. Sources/Dataplane/Reason.swift has the words for people. */
enum ist_reason {
	IST_ALLOWED = 0,
	/* at a socket call, with an errno for the program */
	IST_UNIDENTIFIED,	/* EPERM: the cgroup has no identity yet */
	IST_FOREIGN_ADDRESS,	/* EPERM: TCP to an address outside the deployment */
	IST_IPV6,		/* EPERM: IPv6 other than ::1 and v4-mapped */
	IST_UDP,		/* EPERM: there is no UDP, not even on loopback */
	IST_SOCKET_TYPE,	/* EPERM: a socket that is not TCP, MPTCP or UDP */
	IST_NO_SERVICE,		/* EHOSTUNREACH: no declared service has this address */
	IST_NO_INSTANCE,	/* ECONNREFUSED: declared, but no instance could answer */
	/* of a packet of the instance's sockets, on an interface that is not ist0 or lo */
	IST_FOREIGN_PACKET,
	/* of a frame on ist0, in the fabric's switch */
	IST_FRAME_UNKNOWN_LINK,
	IST_FRAME_NOT_IPV4,
	IST_FRAME_VLAN,
	IST_FRAME_MALFORMED,	/* truncated, or IP options */
	IST_FRAME_NOT_TCP,
	IST_FRAME_FRAGMENT,
	IST_FRAME_SPOOFED,	/* the source is not the instance address */
	IST_FRAME_FOREIGN,	/* the destination is not in the range, or the sender itself */
	IST_FRAME_RESERVED,	/* the fabric's own block */
	IST_REASON_COUNT
};

struct ist_denial_key {
	__u32 deployment;
	__u32 service;		/* number, 0 where not known */
	__u32 reason;		/* enum ist_reason */
};

#define IST_SAME_LAYOUT(type, size) _Static_assert(sizeof(type) == (size), #type " changed its size")

IST_SAME_LAYOUT(struct ist_identity, 24);
IST_SAME_LAYOUT(struct ist_service_key, 8);
IST_SAME_LAYOUT(struct ist_service, 200);
IST_SAME_LAYOUT(struct ist_deployment, 128);
IST_SAME_LAYOUT(struct ist_service_port, 8);
IST_SAME_LAYOUT(struct ist_listening, 32);
IST_SAME_LAYOUT(struct ist_listener_key, 12);
IST_SAME_LAYOUT(struct ist_listener, 12);
IST_SAME_LAYOUT(struct ist_denial_key, 12);
IST_SAME_LAYOUT(struct ist_flow, 16);
IST_SAME_LAYOUT(struct ist_held_syn, 144);
IST_SAME_LAYOUT(struct ist_hold_rate, 16);
_Static_assert(__builtin_offsetof(struct ist_service, name) == 72, "ist_service.name moved");
_Static_assert(__builtin_offsetof(struct ist_listener, lock) == 0, "ist_listener.lock moved");
