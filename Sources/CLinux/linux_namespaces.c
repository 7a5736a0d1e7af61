#define _GNU_SOURCE
#include "linux_namespaces.h"

#include <linux/nsfs.h>
#include <sched.h>
#include <sys/ioctl.h>

int linux_enter_network_namespace(int fd) { return setns(fd, CLONE_NEWNET); }

int linux_unshare_network_namespace(void) { return unshare(CLONE_NEWNET); }

int linux_unshare_mount_namespace(void) { return unshare(CLONE_NEWNS); }

int linux_unshare_cgroup_namespace(void) { return unshare(CLONE_NEWCGROUP); }

int linux_is_network_namespace(int fd) { return ioctl(fd, NS_GET_NSTYPE) == CLONE_NEWNET; }
