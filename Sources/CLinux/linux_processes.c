#define _GNU_SOURCE
#include "linux_processes.h"

#include <linux/close_range.h>
#include <unistd.h>

pid_t linux_thread_id(void) { return gettid(); }

int linux_close_on_exec_from(unsigned first)
{
	return close_range(first, ~0u, CLOSE_RANGE_CLOEXEC);
}
