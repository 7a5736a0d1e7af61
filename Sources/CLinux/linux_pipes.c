#define _GNU_SOURCE
#include "linux_pipes.h"

#include <fcntl.h>
#include <unistd.h>

int linux_pipe(int *read_end, int *write_end, int capacity)
{
	int ends[2];
	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK))
		return -1;
	/* Not an error: a pipe of the standard size works, with more system calls. */
	fcntl(ends[1], F_SETPIPE_SZ, capacity);
	*read_end = ends[0];
	*write_end = ends[1];
	return 0;
}

int64_t linux_splice(int from, int to, uint64_t count)
{
	return splice(from, 0, to, 0, count, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
}
