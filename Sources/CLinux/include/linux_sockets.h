/* TCP sockets: what is behind _GNU_SOURCE, and options of which several are set at once. */
#pragma once
#include <stdint.h>
#include <sys/socket.h>

/* A new TCP socket of `family`, close-on-exec and non-blocking. */
int linux_tcp_socket(int family);

/* A TCP socket that listens on the numeric address `host`, IPv4 or IPv6, close-on-exec and
 * non-blocking. */
int linux_tcp_listener(const char *host, uint16_t port);

/* accept4(2), close-on-exec and non-blocking. */
int linux_accept(int fd, struct sockaddr_storage *address, socklen_t *length);

/* Sends small writes at once (TCP_NODELAY). */
int linux_tcp_no_delay(int fd);

/* Has the kernel notice that the peer of a connection on which nothing is under way is gone:
 * keepalive probes after `idle_seconds` and then every `interval_seconds`, of which `count` go
 * unanswered. */
int linux_tcp_keep_alive(int fd, int idle_seconds, int interval_seconds, int count);

/* The milliseconds since the peer last acknowledged anything, while something awaits its
 * acknowledgement: bytes, or two probes of its closed window or of a connection at rest; 0 while
 * nothing does, -1 on error. (One probe may be lost, and the next comes up to two minutes later.)
 *
 * TCP_USER_TIMEOUT is no substitute: since Linux 5.11 it ends a connection whose peer answers, but
 * has kept its window closed for so long (tcp_probe_timer). */
int64_t linux_tcp_silence(int fd);

/* Has the kernel drop each segment that comes for a connected TCP socket, as if it were lost on the way: it
 * acknowledges nothing, and the peer's timers run (SO_ATTACH_FILTER). */
int linux_tcp_drop_incoming(int fd);

/* Ends that. */
int linux_tcp_take_incoming(int fd);

/* Has close(2) send RST instead of FIN (SO_LINGER with 0 seconds): also the close that the kernel does for a
 * process that was killed. */
int linux_reset_on_close(int fd);

/* Has close(2) send FIN again, behind what is still to be sent. */
int linux_finish_on_close(int fd);

/* How a connect(2) that went on has ended: EINPROGRESS where it has not, 0 where the socket was connected, else
 * the errno that it failed with. `broken` is set to the errno that has broken the connection since, or to 0.
 * To call connect(2) once more would tell as well, but throws away what came before a reset. */
int linux_connect_outcome(int fd, int *broken);

/* The bytes that were given to a TCP socket and that its peer has not acknowledged (SIOCOUTQ); -1 on error. */
int linux_unacknowledged(int fd);

/* Leaves urgent bytes where they are in the stream (SO_OOBINLINE): a read ends before one, and begins with it. */
int linux_urgent_inline(int fd);

/* Has a TCP socket take no more than `bytes` of what its peer's window has no room for (TCP_NOTSENT_LOWAT), so
 * that a peer that does not read does not fill the kernel's memory. */
int linux_tcp_limit_unsent(int fd, int bytes);

/* Has a TCP socket keep up to `bytes` of what is not read, for which the kernel reckons with twice as much memory, instead
 * of as much as it thinks (SO_RCVBUFFORCE, TCP_WINDOW_CLAMP, tcp_rmem); without CAP_NET_ADMIN no more than
 * net.core.rmem_max allows. What comes beyond is dropped, also where the peer had been told before that there is room. */
int linux_limit_receive_buffer(int fd, int bytes);

/* Leaves that to the kernel again, from what it is now on (SO_BUF_LOCK, Linux 5.14). */
int linux_unlimit_receive_buffer(int fd);

/* The memory that a socket may have now for what is not read, in bytes (SO_RCVBUF); -1 on error. */
int linux_receive_buffer(int fd);

/* Whether the next byte to be read is an urgent one (SIOCATMARK). */
int linux_is_at_urgent(int fd);

/* Sends one byte as urgent (MSG_OOB), as linux_send. */
int64_t linux_send_urgent(int fd, uint8_t byte);

/* The socket's pending error (SO_ERROR), which reading clears; -1 where it cannot be read. */
int linux_socket_error(int fd);

/* Whether a TCP socket's connection is over: reset, or ended both ways. 0 too where it cannot be asked. */
int linux_tcp_is_closed(int fd);

/* send(2) that neither blocks nor raises SIGPIPE; `more` keeps the segment or record open. */
int64_t linux_send(int fd, const void *bytes, uint64_t count, int more);

/* recv(2) that does not block; `peek` leaves the bytes there. */
int64_t linux_receive(int fd, void *bytes, uint64_t count, int peek);
