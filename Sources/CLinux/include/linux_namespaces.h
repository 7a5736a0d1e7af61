/* Namespaces of the calling thread. */
#pragma once

#include <stdint.h>

/* Moves the calling thread into the network namespace that `fd` is open on. */
int linux_enter_network_namespace(int fd);

/* Gives the calling thread a new network namespace, whose only link is a loopback that is down. */
int linux_unshare_network_namespace(void);

/* Gives the calling thread a copy of the mount namespace, and its own root and working directory. */
int linux_unshare_mount_namespace(void);

/* Gives the calling thread a cgroup namespace whose root is the cgroup that it is in. */
int linux_unshare_cgroup_namespace(void);

/* 1 if `fd` is open on a network namespace, 0 if on something else. */
int linux_is_network_namespace(int fd);

/* The parent of the pid namespace that `fd` is open on, as a new descriptor; -1 with EPERM where the caller
 * is not inside that one (ioctl_ns(2)). */
int linux_parent_namespace(int fd);

/* The link that is the first in every network namespace. */
static const int linux_loopback_ifindex = 1;

/* Writes the cookie of the calling thread's network namespace; -1 and errno where it cannot be had. */
int linux_network_namespace_cookie(uint64_t *cookie);
