#define _GNU_SOURCE
#include "linux_namespaces.h"

#include <linux/nsfs.h>
#include <asm/socket.h>
#include <errno.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

int linux_enter_network_namespace(int fd)
{
	return setns(fd, CLONE_NEWNET);
}

int linux_unshare_network_namespace(void)
{
	return unshare(CLONE_NEWNET);
}

int linux_unshare_mount_namespace(void)
{
	return unshare(CLONE_NEWNS);
}

int linux_unshare_cgroup_namespace(void)
{
	return unshare(CLONE_NEWCGROUP);
}

int linux_is_network_namespace(int fd)
{
	return ioctl(fd, NS_GET_NSTYPE) == CLONE_NEWNET;
}

int linux_network_namespace_cookie(uint64_t *cookie)
{
	socklen_t size = sizeof(*cookie);
	int result, code, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	result = getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, cookie, &size);
	code = errno;
	close(fd);
	errno = code;
	return result;
}

int linux_parent_namespace(int fd)
{
	return ioctl(fd, NS_GET_PARENT);
}
