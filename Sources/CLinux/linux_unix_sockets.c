#define _GNU_SOURCE
#include "linux_unix_sockets.h"

#include <errno.h>
#include <linux/sockios.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

/* Of linux/un.h, which is not to be had beside sys/un.h. */
enum { SIOCUNIXFILE = SIOCPROTOPRIVATE };

static int make(const char *path, int flags, struct sockaddr_un *name)
{
	*name = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (strlen(path) >= sizeof(name->sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	strcpy(name->sun_path, path);
	return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
}

static int close_failed(int fd)
{
	int error = errno;

	close(fd);
	errno = error;
	return -1;
}

int linux_unix_listen(const char *path)
{
	struct sockaddr_un name;
	int fd = make(path, SOCK_NONBLOCK, &name);

	if (fd < 0)
		return -1;
	if (bind(fd, (struct sockaddr *)&name, sizeof(name)) || listen(fd, 65535))
		return close_failed(fd);
	return fd;
}

int linux_unix_connect(const char *path, int seconds)
{
	struct timeval limit = { .tv_sec = seconds };
	struct sockaddr_un name;
	int fd = make(path, 0, &name);

	if (fd < 0)
		return -1;
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) ||
	    connect(fd, (struct sockaddr *)&name, sizeof(name)))
		return close_failed(fd);
	return fd;
}

int linux_unix_send_datagram(const char *path, const void *bytes, size_t size)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	size_t length = strlen(path);
	socklen_t name_size = offsetof(struct sockaddr_un, sun_path) + length;
	ssize_t sent;
	int fd;

	if (length >= sizeof(name.sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(name.sun_path, path, length);
	if (path[0] == '@')
		name.sun_path[0] = 0;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	do
		sent = sendto(fd, bytes, size, MSG_NOSIGNAL, (struct sockaddr *)&name, name_size);
	while (sent < 0 && errno == EINTR);
	if (sent < 0)
		return close_failed(fd);
	close(fd);
	return 0;
}

pid_t linux_unix_peer(int fd)
{
	struct ucred peer = { .pid = -1 };
	socklen_t length = sizeof(peer);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) ? -1 : peer.pid;
}

int linux_unix_peer_credentials(int fd, pid_t *process, uid_t *user)
{
	struct ucred peer;
	socklen_t length = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length))
		return -1;
	*process = peer.pid;
	*user = peer.uid;
	return 0;
}

union control {
	struct cmsghdr header;
	char space[CMSG_SPACE(sizeof(int) * linux_unix_most_descriptors)];
};

ssize_t
linux_unix_send_descriptors(int fd, const void *bytes, size_t size, const int *descriptors, size_t count)
{
	union control control;
	struct iovec part = { .iov_base = (void *)bytes, .iov_len = size };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };

	if (count > linux_unix_most_descriptors) {
		errno = EINVAL;
		return -1;
	}
	if (count) {
		memset(&control, 0, sizeof(control));
		control.header.cmsg_len = CMSG_LEN(sizeof(int) * count);
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		memcpy(CMSG_DATA(&control.header), descriptors, sizeof(int) * count);
		message.msg_control = &control;
		message.msg_controllen = CMSG_SPACE(sizeof(int) * count);
	}
	return sendmsg(fd, &message, MSG_NOSIGNAL);
}

ssize_t linux_unix_send_descriptor(int fd, const void *bytes, size_t size, int descriptor)
{
	return linux_unix_send_descriptors(fd, bytes, size, &descriptor, 1);
}

ssize_t linux_unix_receive_descriptors(int fd, void *bytes, size_t size, int *descriptors, size_t *count)
{
	union control control;
	struct iovec part = { .iov_base = bytes, .iov_len = size };
	struct msghdr message = {
		.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)
	};
	ssize_t received = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
	struct cmsghdr *header = received < 0 ? NULL : CMSG_FIRSTHDR(&message);

	*count = 0;
	if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS) {
		*count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		memcpy(descriptors, CMSG_DATA(header), sizeof(int) * *count);
	}
	return received;
}

ssize_t linux_unix_receive_descriptor(int fd, void *bytes, size_t size, int *descriptor)
{
	int descriptors[linux_unix_most_descriptors];
	size_t count, index;
	ssize_t received = linux_unix_receive_descriptors(fd, bytes, size, descriptors, &count);

	/* Of several, which nobody sends, the first. */
	*descriptor = count ? descriptors[0] : -1;
	for (index = 1; index < count; index++)
		close(descriptors[index]);
	return received;
}

int linux_unix_bound_file(pid_t process, int descriptor, uint64_t inode)
{
	int handle = pidfd_open(process, 0), fd, file;
	struct stat status;

	if (handle < 0)
		return -1;
	fd = pidfd_getfd(handle, descriptor, 0);
	if (fd < 0)
		return close_failed(handle);
	close(handle);
	if (fstat(fd, &status))
		return close_failed(fd);
	if (!S_ISSOCK(status.st_mode) || status.st_ino != inode) {
		errno = EBADF;
		return close_failed(fd);
	}
	file = ioctl(fd, SIOCUNIXFILE);
	if (file < 0)
		return close_failed(fd);
	close(fd);
	return file;
}
