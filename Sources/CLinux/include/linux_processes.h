/* The calling process and thread, and handles on others. */
#pragma once
#include <sys/types.h>

/* The number of the calling thread, by which /proc/<number> shows it. */
pid_t linux_thread_id(void);

/* How many CPUs the calling thread may run on. */
int linux_cpu_count(void);

/* Marks every open descriptor from `first` on close-on-exec. */
int linux_close_on_exec_from(unsigned first);

/* pidfd_open(2): a handle on the process that has this number now, closed on exec. */
int linux_process_open(pid_t process);

/* kill(2) by such a handle: ESRCH where that process has ended, whoever has its number since. */
int linux_process_signal(int process, int signal);

/* 1 where the process has ended, 0 where it has not within the time; needs not be a child. */
int linux_process_await_end(int process, int milliseconds);

/* Starts the program `path` with `command`, its name and arguments, in a session of its own, with no signal
 * blocked or ignored, in the directory / (this process's may be closed to whom the command becomes). It
 * has this process's environment and standard error, or the file `output`, for standard output as well,
 * and no other descriptor. Returns 0 or an errno. */
int linux_spawn_detached(pid_t *process, const char *path, char *const command[], const char *output);
