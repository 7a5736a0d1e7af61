#include "linux_events.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>

const uint32_t linux_epoll_in = EPOLLIN, linux_epoll_out = EPOLLOUT, linux_epoll_error = EPOLLERR,
	       linux_epoll_hangup = EPOLLHUP, linux_epoll_read_hangup = EPOLLRDHUP,
	       linux_epoll_urgent = EPOLLPRI;

int linux_epoll_create(void)
{
	return epoll_create1(EPOLL_CLOEXEC);
}

int linux_epoll_watch(int epoll, int fd, uint64_t token, int again)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLPRI | EPOLLOUT | EPOLLRDHUP | EPOLLET,
				     .data = { .u64 = token } };
	return epoll_ctl(epoll, again ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event);
}

int linux_epoll_forget(int epoll, int fd)
{
	return epoll_ctl(epoll, EPOLL_CTL_DEL, fd, 0);
}

int linux_epoll_wait(int epoll, struct linux_event *events, int capacity, int timeout)
{
	/* struct epoll_event is packed on x86-64 alone, so it is not handed to Swift. */
	struct epoll_event found[256];
	int count = epoll_wait(epoll, found, capacity < 256 ? capacity : 256, timeout);
	for (int i = 0; i < count; i++)
		events[i] = (struct linux_event){ found[i].events, found[i].data.u64 };
	return count;
}

int linux_eventfd(void)
{
	return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}
