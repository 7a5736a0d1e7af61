/* epoll(7) and eventfd(2), which Glibc's module does not offer to Swift. */
#pragma once
#include <stdint.h>

/* One event: which bits, and the number that was registered. */
struct linux_event {
	uint32_t events;
	uint64_t token;
};

extern const uint32_t linux_epoll_in, linux_epoll_out, linux_epoll_error, linux_epoll_hangup,
	linux_epoll_read_hangup, linux_epoll_urgent;

/* A new epoll instance, close-on-exec. */
int linux_epoll_create(void);

/* Registers `fd` edge-triggered for reading, urgent bytes, writing and the peer's end; `again` where it is
 * registered already, to change its token. */
int linux_epoll_watch(int epoll, int fd, uint64_t token, int again);

/* Takes `fd` out. */
int linux_epoll_forget(int epoll, int fd);

/* epoll_wait(2) for at most `capacity` (up to 256) events; `timeout` in milliseconds. */
int linux_epoll_wait(int epoll, struct linux_event *events, int capacity, int timeout);

/* A new eventfd, close-on-exec and non-blocking. */
int linux_eventfd(void);
