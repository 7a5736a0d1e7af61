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

/*
 * The layout of the pinned state; kept in the map `layout`. Another one, earlier or later, is not read: while instances
 * live, the programs of its version go on with these maps, and no daemon can have both. So istbpfd refuses to start, and
 * a package to be installed (Packaging/debian/preinst), until they have ended; then it is replaced. Raised seldom, since
 * each time costs whoever upgrades the instances: what an earlier version can do without goes into a map of its own.
 */
#define IST_ABI_VERSION 8

/* The range of addresses is a /15; the low 17 bits of an address are its offset in it. */
#define IST_OFFSET_BITS 17
#define IST_OFFSET_MASK ((1u << IST_OFFSET_BITS) - 1)

/* The range unless another one is configured, in host byte order: 198.18.0.0. */
#define IST_STANDARD_RANGE 0xc6120000u

/* The fabric's own addresses, by their place in the range: the gateway's, and that which the host connects from. */
#define IST_GATEWAY_OFFSET 1
#define IST_HOST_OFFSET 2

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
#define IST_IFINDEX(deployment, address) ((deployment) << IST_OFFSET_BITS | ((address) & IST_OFFSET_MASK))

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
	__u64 cgroup_id;    /* of the instance's cgroup; also before and after it is identified */
	__u32 deployment;   /* 0: not an instance's, yet or any more; see is_identified */
	__u32 address;	    /* of the instance */
	__u32 ifindex;	    /* IST_IFINDEX(deployment, address) */
	__u32 listeners;    /* ports of it in `listeners`; kept by BPF in `cgroup_identity` */
	__u64 netns_cookie; /* of the network namespace with ist0 (SO_NETNS_COOKIE); 0 where not known */
	__u32 netns_id;	    /* of the same in its fabric's (RTM_GETNSID), plus 1; 0 where not known */
	__u32 reserved;
};

struct ist_service_key {
	__u32 deployment;
	__u32 service; /* number, 1 to 510 */
};

/* A declared service, and where its instances are. */
struct ist_service {
	__u64 local[IST_INSTANCE_WORDS];  /* on this runner */
	__u64 remote[IST_INSTANCE_WORDS]; /* on other runners */
	__u32 port;			  /* its deployment.port */
	__u32 flags;			  /* IST_SPREAD */
	char name[IST_NAME_SIZE];
};

/* A flag of a service: connections go to the instances of all runners alike, not to local ones first. */
#define IST_SPREAD 1u

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
	__u32 address; /* of the instance */
	__u32 port;
};

/* Listening sockets of an instance on a port (SO_REUSEPORT makes several). */
struct ist_listener {
	__u32 lock;	 /* a struct bpf_spin_lock to BPF */
	__u32 reachable; /* bound to the wildcard or the instance address */
	__u32 loopback;	 /* bound to an address that only the instance itself reaches */
};

/* The relay listens on the gateway's address and this port in every fabric. No instance can reach
 * the port by itself: the switch drops frames to the fabric's own block. */
#define IST_RELAY_PORT 15001

/* A SYN with more than this is not held: only data of TCP fast open makes one so long, and the
 * caller's kernel sends it again without. */
#define IST_HELD_FRAME_SIZE 124

/* SYNs that are held for one link in a second; more are dropped, and sent again by the caller. */
#define IST_HELD_PER_SECOND 4096

/* A connection to another runner, or to outside through the relay, that is not accepted yet. */
struct ist_flow {
	__u32 deployment;
	__u32 source;
	__u32 destination;
	__u16 source_port;
	__u16 destination_port;
};

enum ist_flow_outcome {
	IST_FLOW_PENDING = 0,
	IST_FLOW_ACCEPTED = 1,
	IST_FLOW_ABANDONED = 2, /* accepted there, but the caller had given up: it answered with RST */
};

/* What is known of it: values of the map `flows`. */
struct ist_flow_state {
	__u32 outcome; /* enum ist_flow_outcome */
	__u32 reserved;
	__u64 first_syn; /* CLOCK_MONOTONIC, ns */
	__u64 last_syn;	 /* the same; the caller's kernel sends its SYN again while it waits */
};

/* A record of the ring buffer `held_syns`. */
struct ist_held_syn {
	struct ist_flow flow;
	__u32 length;			 /* of the frame */
	__u8 frame[IST_HELD_FRAME_SIZE]; /* from the Ethernet header on; TCP checksum partial */
};

struct ist_hold_rate {
	__u64 since; /* CLOCK_MONOTONIC, ns */
	__u32 held;  /* since then */
	__u32 reserved;
};

/*
 * A way out that a service is allowed: a key of the trie `egress`. The kernel compares the bytes
 * behind the length from left to right, so they are in network byte order.
 */
struct ist_egress_key {
	__u32 prefix_length; /* bits that count: IST_EGRESS_FIXED_BITS and the network's */
	__u32 deployment;
	__u16 service; /* number */
	__u16 port;    /* 0: every port */
	__u32 address;
};

/* Of a key of `egress`, all before the address. */
#define IST_EGRESS_FIXED_BITS 64

/* Rules that one service may have, so that none can fill the map. */
#define IST_EGRESS_PER_SERVICE 256

/* Why something was denied. Sources/Dataplane/Reason.swift has the words for people. */
enum ist_reason {
	IST_ALLOWED = 0,
	/* at a socket call, with an errno for the program */
	IST_UNIDENTIFIED,    /* EPERM: the cgroup has no identity, yet or any more */
	IST_FOREIGN_ADDRESS, /* EPERM: TCP to an address outside the deployment */
	IST_IPV6,	     /* EPERM: IPv6 other than ::1 and v4-mapped */
	IST_UDP,	     /* EPERM: there is no UDP, not even on loopback */
	IST_SOCKET_TYPE,     /* EPERM: a socket that is not TCP, MPTCP or UDP */
	IST_NO_SERVICE,	     /* EHOSTUNREACH: no declared service has this address */
	IST_NO_INSTANCE,     /* ECONNREFUSED: declared, but no instance could answer */
	/* of a packet that the instance's sockets send, on an interface that is not ist0 or lo */
	IST_FOREIGN_PACKET,
	/* of a frame on ist0, in the fabric's switch */
	IST_FRAME_UNKNOWN_LINK,
	IST_FRAME_NOT_IPV4,
	IST_FRAME_VLAN,
	IST_FRAME_MALFORMED, /* truncated, or IP options */
	IST_FRAME_NOT_TCP,
	IST_FRAME_FRAGMENT,
	IST_FRAME_SPOOFED,  /* the source is not the instance address */
	IST_FRAME_FOREIGN,  /* the destination is outside and no egress rule's, or the sender itself */
	IST_FRAME_RESERVED, /* the fabric's own block */
	/* at setsockopt() */
	IST_SOCKET_OPTION, /* EPERM: it leads packets past the routes, or has the kernel send some */
	/* of what comes to the instance, on an interface that is not ist0 or lo */
	IST_INBOUND,
	/* at connect(), of a packet on lo and of a frame on ist0 */
	IST_STRANGERS_SOCKET, /* ECONNREFUSED: in the instance's network namespace, but not its own */
	/* by the daemon, of a connect that it was to carry outside */
	IST_EGRESS_REFUSED, /* EHOSTUNREACH: a rule allows it, but the address is no host outside */
	IST_REASON_COUNT
};

struct ist_denial_key {
	__u32 deployment;
	__u32 service; /* number, 0 where not known */
	__u32 reason;  /* enum ist_reason */
};

/*
 * Events that one instance has told in a second, after a burst: so none can flood who observes. What
 * goes beyond is counted (`struct ist_event_rate`), and denials are in `denials` in any case.
 */
#define IST_DENIALS_PER_SECOND 64
#define IST_DENIALS_BURST 256
#define IST_FLOWS_PER_SECOND 4096
#define IST_FLOWS_BURST 8192

enum ist_event_kind {
	IST_EVENT_DENIED = 1,
	IST_EVENT_OPENED, /* a connection is established */
	IST_EVENT_CLOSED, /* it has ended */
};

/* The kernel's TASK_COMM_LEN. */
#define IST_COMMAND_SIZE 16

/* A record of the ring buffer `events`. What is not known is 0. */
struct ist_event {
	__u64 time;   /* CLOCK_BOOTTIME, ns */
	__u32 kind;   /* enum ist_event_kind */
	__u32 reason; /* of a denial: enum ist_reason */
	__u32 deployment;
	__u32 instance; /* its address */
	__u32 peer[4];	/* the other end: an IPv6 address, or IPv4 as ::ffff:a.b.c.d; network
				 * byte order */
	__u16 peer_port;
	__u16 own_port;			/* of the instance's end */
	__u32 protocol;			/* IPPROTO_* */
	__u32 incoming;			/* 1 where the other end is the caller or the sender */
	__u32 pid;			/* of the process that called, as the host numbers it */
	char command[IST_COMMAND_SIZE]; /* its name; padded with NUL */
	/* of a connection that has ended */
	__u64 duration;	  /* ns since it was established */
	__u64 sent;	  /* bytes that the other end has acknowledged */
	__u64 received;	  /* bytes */
	__u32 round_trip; /* smoothed, us */
	__u32 reserved;
};

/* How much of an instance's events was told: times until which those told take up their rate. */
struct ist_event_rate {
	__u64 denials_due;    /* CLOCK_MONOTONIC, ns */
	__u64 denials_untold; /* since the instance began: beyond the rate, or the buffer was full */
	__u64 flows_due;
	__u64 flows_untold;
};

/* What `ist_explain` is asked, and answers. */
struct ist_explanation {
	struct ist_identity caller;
	__u32 address; /* asked for */
	__u32 port;
	__u32 chosen; /* the address that connect() would get; of several, any */
	__u32 reason; /* enum ist_reason */
	__u32 error;  /* errno, 0 where it is allowed */
	__u32 reserved;
	/* Where it is allowed and to the range: the instances that it may go to, here and elsewhere. */
	__u64 local[IST_INSTANCE_WORDS];
	__u64 remote[IST_INSTANCE_WORDS];
};

#define IST_SAME_LAYOUT(type, size) _Static_assert(sizeof(type) == (size), #type " changed its size")

IST_SAME_LAYOUT(struct ist_identity, 40);
IST_SAME_LAYOUT(struct ist_service_key, 8);
IST_SAME_LAYOUT(struct ist_service, 200);
IST_SAME_LAYOUT(struct ist_deployment, 128);
IST_SAME_LAYOUT(struct ist_service_port, 8);
IST_SAME_LAYOUT(struct ist_listening, 32);
IST_SAME_LAYOUT(struct ist_listener_key, 12);
IST_SAME_LAYOUT(struct ist_listener, 12);
IST_SAME_LAYOUT(struct ist_denial_key, 12);
IST_SAME_LAYOUT(struct ist_flow, 16);
IST_SAME_LAYOUT(struct ist_flow_state, 24);
IST_SAME_LAYOUT(struct ist_egress_key, 16);
IST_SAME_LAYOUT(struct ist_held_syn, 144);
IST_SAME_LAYOUT(struct ist_hold_rate, 16);
IST_SAME_LAYOUT(struct ist_event, 104);
IST_SAME_LAYOUT(struct ist_event_rate, 32);
IST_SAME_LAYOUT(struct ist_explanation, 128);
_Static_assert(__builtin_offsetof(struct ist_service, name) == 72, "ist_service.name moved");
_Static_assert(__builtin_offsetof(struct ist_listener, lock) == 0, "ist_listener.lock moved");
