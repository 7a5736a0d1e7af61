#define _GNU_SOURCE
#include "linux_sockets.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <unistd.h>

int linux_tcp_socket(int family)
{
	return socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP);
}

int linux_accept(int fd, struct sockaddr_storage *address, socklen_t *length)
{
	return accept4(fd, (struct sockaddr *)address, length, SOCK_CLOEXEC | SOCK_NONBLOCK);
}

static int set(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof value);
}

int linux_tcp_no_delay(int fd)
{
	return set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
}

int linux_tcp_keep_alive(int fd, int idle_seconds, int interval_seconds, int count)
{
	if (set(fd, SOL_SOCKET, SO_KEEPALIVE, 1) || set(fd, IPPROTO_TCP, TCP_KEEPIDLE, idle_seconds) ||
	    set(fd, IPPROTO_TCP, TCP_KEEPINTVL, interval_seconds))
		return -1;
	return set(fd, IPPROTO_TCP, TCP_KEEPCNT, count);
}

int64_t linux_tcp_silence(int fd)
{
	struct tcp_info info;
	socklen_t length = sizeof info;
	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length))
		return -1;
	return info.tcpi_unacked || info.tcpi_probes > 1 ? info.tcpi_last_ack_recv : 0;
}

int linux_tcp_is_closed(int fd)
{
	struct tcp_info info;
	socklen_t length = sizeof info;
	return !getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) && info.tcpi_state == TCP_CLOSE;
}

int linux_tcp_drop_incoming(int fd)
{
	struct sock_filter nothing = BPF_STMT(BPF_RET | BPF_K, 0);
	struct sock_fprog program = { .len = 1, .filter = &nothing };
	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
}

int linux_tcp_take_incoming(int fd)
{
	return set(fd, SOL_SOCKET, SO_DETACH_FILTER, 0);
}

int linux_reset_on_close(int fd)
{
	struct linger linger = { .l_onoff = 1, .l_linger = 0 };
	return setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
}

int linux_finish_on_close(int fd)
{
	struct linger linger = { .l_onoff = 0 };
	return setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
}

int linux_connect_outcome(int fd, int *broken)
{
	struct sockaddr_storage peer;
	socklen_t length = sizeof peer;
	int error;

	*broken = 0;
	if (!getpeername(fd, (struct sockaddr *)&peer, &length))
		return 0;
	if (errno != ENOTCONN)
		return errno;
	error = linux_socket_error(fd);
	if (!error)
		return EINPROGRESS;
	/* What ends a connect that was not answered yet is ECONNREFUSED (tcp_reset). */
	if (error != ECONNRESET && error != EPIPE)
		return error < 0 ? errno : error;
	*broken = error;
	return 0;
}

int linux_urgent_inline(int fd)
{
	return set(fd, SOL_SOCKET, SO_OOBINLINE, 1);
}

int linux_tcp_limit_unsent(int fd, int bytes)
{
	return set(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, bytes);
}

int linux_limit_receive_buffer(int fd, int bytes)
{
	if (set(fd, SOL_SOCKET, SO_RCVBUFFORCE, bytes) && set(fd, SOL_SOCKET, SO_RCVBUF, bytes))
		return -1;
	/* The window does not follow the buffer of a socket that is connected. */
	return set(fd, IPPROTO_TCP, TCP_WINDOW_CLAMP, bytes);
}

int linux_unlimit_receive_buffer(int fd)
{
	return set(fd, SOL_SOCKET, SO_BUF_LOCK, 0);
}

int linux_receive_buffer(int fd)
{
	int bytes = 0;
	socklen_t length = sizeof bytes;
	return getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, &length) ? -1 : bytes;
}

int linux_is_at_urgent(int fd)
{
	int is_there = 0;
	return !ioctl(fd, SIOCATMARK, &is_there) && is_there;
}

int64_t linux_send_urgent(int fd, uint8_t byte)
{
	return send(fd, &byte, 1, MSG_OOB | MSG_DONTWAIT | MSG_NOSIGNAL);
}

int linux_unacknowledged(int fd)
{
	int count = 0;
	return ioctl(fd, SIOCOUTQ, &count) ? -1 : count;
}

int linux_socket_error(int fd)
{
	int error = 0;
	socklen_t length = sizeof error;
	return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) ? -1 : error;
}

int64_t linux_send(int fd, const void *bytes, uint64_t count, int more)
{
	return send(fd, bytes, count, MSG_DONTWAIT | MSG_NOSIGNAL | (more ? MSG_MORE : 0));
}

int64_t linux_receive(int fd, void *bytes, uint64_t count, int peek)
{
	return recv(fd, bytes, count, MSG_DONTWAIT | (peek ? MSG_PEEK : 0));
}

int linux_tcp_listener(const char *host, uint16_t port)
{
	struct sockaddr_in ipv4 = { .sin_family = AF_INET, .sin_port = htons(port) };
	struct sockaddr_in6 ipv6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	int is_ipv4 = inet_pton(AF_INET, host, &ipv4.sin_addr) == 1, on = 1, fd;

	if (!is_ipv4 && inet_pton(AF_INET6, host, &ipv6.sin6_addr) != 1) {
		errno = EINVAL;
		return -1;
	}
	fd = linux_tcp_socket(is_ipv4 ? AF_INET : AF_INET6);
	if (fd < 0)
		return -1;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) ||
	    bind(fd, is_ipv4 ? (struct sockaddr *)&ipv4 : (struct sockaddr *)&ipv6,
		 is_ipv4 ? sizeof(ipv4) : sizeof(ipv6)) ||
	    listen(fd, 4096)) {
		int error = errno;

		close(fd);
		errno = error;
		return -1;
	}
	return fd;
}
