#define _GNU_SOURCE
#include "linux_files.h"

#include <fcntl.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mman.h>

int linux_inotify(void)
{
	return inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
}

int linux_inotify_watch(int fd, const char *path)
{
	return inotify_add_watch(fd, path, IN_MODIFY | IN_DELETE_SELF);
}

int linux_inotify_unwatch(int fd, int watch)
{
	return inotify_rm_watch(fd, watch);
}

int linux_inotify_next(const void *buffer, int64_t length, int64_t *offset, int *overflow, int *gone)
{
	struct inotify_event event;
	*overflow = *gone = 0;
	while (*offset + (int64_t)sizeof event <= length) {
		memcpy(&event, (const char *)buffer + *offset, sizeof event);
		*offset += (int64_t)sizeof event + event.len;
		*overflow = (event.mask & IN_Q_OVERFLOW) != 0;
		*gone = (event.mask & IN_IGNORED) != 0;
		if (*overflow)
			return 0;
		return event.wd;
	}
	return -1;
}

int linux_open_directory(const char *path)
{
	return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

int linux_memory_file(const char *name)
{
	return memfd_create(name, MFD_CLOEXEC);
}
