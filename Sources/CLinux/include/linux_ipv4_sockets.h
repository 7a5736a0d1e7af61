/* The relay's sockets in a fabric: IPv4, and with addresses that belong to others. */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* A packet(7) socket that only sends: it receives nothing, since it has no protocol. */
int linux_packet_socket(void);

/* Sends a whole Ethernet frame out of the link `ifindex`. */
ssize_t linux_packet_send(int fd, int ifindex, const void *frame, size_t length);

/* A TCP socket over IPv4, close-on-exec and non-blocking, that may have any address for its own
 * (IP_TRANSPARENT). It and what it accepts are closed with RST, until linux_finish_on_close. */
int linux_transparent_socket(void);

/* bind(2); address and port in host byte order. A port of 0 is chosen at connect(2), so that many
 * sockets with different destinations can share it (IP_BIND_ADDRESS_NO_PORT). */
int linux_bind(int fd, uint32_t address, uint16_t port);

/* Sets IP_TOS. */
int linux_set_type_of_service(int fd, uint8_t value);

/* listen(2) with the longest queue that the kernel allows. */
int linux_listen(int fd);

/* connect(2); address and port in host byte order. */
int linux_connect(int fd, uint32_t address, uint16_t port);

/* accept4(2), close-on-exec and non-blocking; tells the caller's address and port in host byte order. */
int linux_accept_ipv4(int fd, uint32_t *address, uint16_t *port);

/* Two TCP sockets that are connected with each other over loopback, and with nobody else; close-on-exec and
 * non-blocking. */
int linux_tcp_pair(int pair[2]);

/* getsockname(2) of an IPv4 socket, in host byte order. */
int linux_local_address(int fd, uint32_t *address, uint16_t *port);

/* The source address that the calling thread's network namespace has for packets to `address`, in host byte order,
 * found without sending one. -1 with ENETUNREACH, EHOSTUNREACH or EACCES where there is no way. */
int linux_routed_source(uint32_t address, uint32_t *source);
