#define _GNU_SOURCE
#include "linux_ipv4_sockets.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

int linux_packet_socket(void)
{
	return socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
}

ssize_t linux_packet_send(int fd, int ifindex, const void *frame, size_t length)
{
	struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_ifindex = ifindex };

	return sendto(fd, frame, length, 0, (struct sockaddr *)&to, sizeof(to));
}

int linux_transparent_socket(void)
{
	struct linger reset = { .l_onoff = 1 };
	int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd >= 0 && (setsockopt(fd, SOL_IP, IP_TRANSPARENT, &on, sizeof(on)) ||
			setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) ||
			setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)) ||
			setsockopt(fd, SOL_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on)))) {
		close(fd);
		return -1;
	}
	return fd;
}

static struct sockaddr_in ipv4(uint32_t address, uint16_t port)
{
	return (struct sockaddr_in){
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(address),
	};
}

int linux_bind(int fd, uint32_t address, uint16_t port)
{
	struct sockaddr_in to = ipv4(address, port);

	return bind(fd, (struct sockaddr *)&to, sizeof(to));
}

int linux_set_type_of_service(int fd, uint8_t value)
{
	int tos = value;

	return setsockopt(fd, SOL_IP, IP_TOS, &tos, sizeof(tos));
}

int linux_listen(int fd)
{
	return listen(fd, 65535);
}

int linux_connect(int fd, uint32_t address, uint16_t port)
{
	struct sockaddr_in to = ipv4(address, port);

	return connect(fd, (struct sockaddr *)&to, sizeof(to));
}

static void tell(struct sockaddr_in of, uint32_t *address, uint16_t *port)
{
	*address = ntohl(of.sin_addr.s_addr);
	*port = ntohs(of.sin_port);
}

int linux_accept_ipv4(int fd, uint32_t *address, uint16_t *port)
{
	struct sockaddr_in from = { 0 };
	socklen_t length = sizeof(from);
	int result = accept4(fd, (struct sockaddr *)&from, &length, SOCK_CLOEXEC | SOCK_NONBLOCK);

	tell(from, address, port);
	return result;
}

int linux_local_address(int fd, uint32_t *address, uint16_t *port)
{
	struct sockaddr_in of = { 0 };
	socklen_t length = sizeof(of);
	int result = getsockname(fd, (struct sockaddr *)&of, &length);

	tell(of, address, port);
	return result;
}

int linux_tcp_pair(int pair[2])
{
	const uint32_t loopback = 0x7f000001;
	uint32_t address, own_address;
	uint16_t port, own_port;
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int near = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), far = -1, error;

	if (listener < 0 || near < 0 || linux_bind(listener, loopback, 0) || listen(listener, 8) ||
	    linux_local_address(listener, &address, &port) || linux_connect(near, loopback, port) ||
	    linux_local_address(near, &own_address, &own_port))
		goto done;
	/* Another program of this machine may have connected as well. */
	while ((far = linux_accept_ipv4(listener, &address, &port)) >= 0 &&
	       (address != own_address || port != own_port))
		close(far);
	if (far >= 0 && fcntl(near, F_SETFL, O_NONBLOCK)) {
		close(far);
		far = -1;
	}
done:
	error = errno;
	if (listener >= 0)
		close(listener);
	if (far < 0 && near >= 0)
		close(near);
	errno = error;
	pair[0] = near;
	pair[1] = far;
	return far < 0 ? -1 : 0;
}

int linux_routed_source(uint32_t address, uint32_t *source)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), result, error;
	uint16_t port;

	if (fd < 0)
		return -1;
	/* connect(2) of a datagram socket looks the route up, and sends nothing. */
	result = linux_connect(fd, address, 9);
	if (!result)
		result = linux_local_address(fd, source, &port);
	error = errno;
	close(fd);
	errno = error;
	return result;
}
