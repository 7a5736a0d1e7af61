/* The calling process and thread. */
#pragma once
#include <sys/types.h>

/* The number of the calling thread, by which /proc/<number> shows it. */
pid_t linux_thread_id(void);

/* Marks every open descriptor from `first` on close-on-exec. */
int linux_close_on_exec_from(unsigned first);
