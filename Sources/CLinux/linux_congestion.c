#include "linux_congestion.h"

/* Of the kernel: glibc's tcp_info ends before tcpi_bytes_acked and tcpi_min_rtt. */
#include <linux/tcp.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

int linux_congestion(int fd, char name[linux_congestion_name_size])
{
	socklen_t length = linux_congestion_name_size;
	memset(name, 0, linux_congestion_name_size);
	return getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &length);
}

int linux_set_congestion(int fd, const char *name)
{
	return setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, strlen(name));
}

int64_t linux_shortest_round_trip(int fd)
{
	struct tcp_info info;
	socklen_t length = sizeof info;
	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length))
		return -1;
	return info.tcpi_min_rtt;
}

int32_t linux_tcp_largest_received(int fd)
{
	struct tcp_info info = { 0 };
	socklen_t length = sizeof info;
	return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) ? 0 : (int32_t)info.tcpi_advmss;
}

uint64_t linux_tcp_acknowledged(int fd)
{
	struct tcp_info info = { 0 };
	socklen_t length = sizeof info;
	return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) ? 0 : info.tcpi_bytes_acked;
}

int64_t linux_tcp_last_heard(int fd, enum linux_tcp_unsent *unsent)
{
	struct tcp_info info = { 0 };
	socklen_t length = sizeof info;
	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length))
		return -1;
	*unsent = info.tcpi_unacked	    ? linux_tcp_in_flight
		  : info.tcpi_notsent_bytes ? linux_tcp_blocked
					    : linux_tcp_nothing_unsent;
	return info.tcpi_last_ack_recv < info.tcpi_last_data_recv ? info.tcpi_last_ack_recv
								  : info.tcpi_last_data_recv;
}

struct linux_tcp_traffic linux_tcp_traffic(const void *information, uint64_t size)
{
	struct tcp_info info = { 0 };
	memcpy(&info, information, size < sizeof info ? size : sizeof info);
	return (struct linux_tcp_traffic){
		.acknowledged = info.tcpi_bytes_acked,
		.received = info.tcpi_bytes_received,
		.round_trip_microseconds = info.tcpi_rtt,
	};
}
