#define _GNU_SOURCE
#include "linux_processes.h"

#include <linux/close_range.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/pidfd.h>
#include <unistd.h>

pid_t linux_thread_id(void)
{
	return gettid();
}

int linux_cpu_count(void)
{
	cpu_set_t usable;

	if (sched_getaffinity(0, sizeof(usable), &usable))
		return sysconf(_SC_NPROCESSORS_ONLN); /* more than cpu_set_t has */
	return CPU_COUNT(&usable);
}

int linux_close_on_exec_from(unsigned first)
{
	return close_range(first, ~0u, CLOSE_RANGE_CLOEXEC);
}

int linux_process_open(pid_t process)
{
	return pidfd_open(process, 0);
}

int linux_process_signal(int process, int signal)
{
	return pidfd_send_signal(process, signal, NULL, 0);
}

int linux_process_await_end(int process, int milliseconds)
{
	struct pollfd end = { .fd = process, .events = POLLIN };

	return poll(&end, 1, milliseconds);
}

int linux_spawn_detached(pid_t *process, const char *path, char *const command[], const char *output)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t all, none;
	int error;

	sigfillset(&all);
	sigemptyset(&none);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setsigdefault(&attributes, &all);
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setflags(&attributes,
				 POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	if (output)
		posix_spawn_file_actions_addopen(&actions, 2, output, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	posix_spawn_file_actions_adddup2(&actions, 2, 1);
	posix_spawn_file_actions_addclosefrom_np(&actions, 3);
	posix_spawn_file_actions_addchdir_np(&actions, "/");
	error = posix_spawn(process, path, &actions, &attributes, command, environ);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attributes);
	return error;
}
