/* The congestion control of a TCP socket, and what it knows of its path. */
#pragma once
#include <stdint.h>

/* The bytes of a name, the zero behind it included (TCP_CA_NAME_MAX). */
enum { linux_congestion_name_size = 16 };

/* Writes the name of the socket's congestion control, zero-terminated; 0, or -1 with errno. */
int linux_congestion(int fd, char name[linux_congestion_name_size]);

/* Gives the socket another one. ENOENT where the kernel has none of that name. */
int linux_set_congestion(int fd, const char *name);

/* The shortest round trip that TCP has seen on this connection in the last minutes, in microseconds
 * (tcpi_min_rtt): of the handshake at least. -1 with errno. */
int64_t linux_shortest_round_trip(int fd);

/* The largest segment that the peer of a TCP socket may send, in bytes (tcpi_advmss); 0 on error. */
int32_t linux_tcp_largest_received(int fd);

/* What a TCP socket has to send. */
enum linux_tcp_unsent {
	linux_tcp_nothing_unsent,
	/* Bytes are under way, and sent again ever more rarely until they are acknowledged. */
	linux_tcp_in_flight,
	/* Bytes wait for room in the peer's window and none is under way: the kernel probes that ever more rarely, and
   * silence means nothing. */
	linux_tcp_blocked,
};

/* The milliseconds since anything came from the peer of a TCP socket, an acknowledgement or bytes; -1 on error. Only
 * where nothing is unsent does keepalive probe it. */
int64_t linux_tcp_last_heard(int fd, enum linux_tcp_unsent *unsent);

/* The bytes of a TCP socket that its peer has acknowledged since it was connected (tcpi_bytes_acked); 0 on error. */
uint64_t linux_tcp_acknowledged(int fd);

/* What has passed over a TCP connection. */
struct linux_tcp_traffic {
	/* Bytes that its peer has acknowledged, a caller's SYN and a FIN counted as one each (tcpi_bytes_acked). */
	uint64_t acknowledged;
	/* Bytes that came, a FIN counted as one (tcpi_bytes_received). */
	uint64_t received;
	/* Smoothed (tcpi_rtt). */
	uint32_t round_trip_microseconds;
};

/* That of the kernel's tcp_info in `size` bytes, as sock_diag(7) gives it; zeros for what is beyond its end. */
struct linux_tcp_traffic linux_tcp_traffic(const void *information, uint64_t size);
