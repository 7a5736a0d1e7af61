/* Pipes and splice(2), which moves bytes between sockets without a copy through the process. */
#pragma once
#include <stdint.h>

/* A new pipe, close-on-exec and non-blocking, that holds `capacity` bytes where it may. */
int linux_pipe(int *read_end, int *write_end, int capacity);

/* splice(2) that does not block and asks for pages to be moved. */
int64_t linux_splice(int from, int to, uint64_t count);
