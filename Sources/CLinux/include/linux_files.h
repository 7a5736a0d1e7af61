/* Files: what is variadic or behind _GNU_SOURCE. */
#pragma once
#include <stdint.h>

/* A new inotify(7) descriptor, close-on-exec and non-blocking. */
int linux_inotify(void);

/* Watches `path` for changes of its contents (IN_MODIFY) and its removal; the watch's number. */
int linux_inotify_watch(int fd, const char *path);

/* Ends a watch. */
int linux_inotify_unwatch(int fd, int watch);

/* Reads the next event of `fd` from `buffer`, `length` bytes that read(2) filled, at `*offset`, and
 * moves the offset behind it: its watch, or -1 at the end. Sets `*overflow` where events were lost,
 * and `*gone` where the watch ended. */
int linux_inotify_next(const void *buffer, int64_t length, int64_t *offset, int *overflow, int *gone);

/* open(2) with O_CLOEXEC, for a directory. */
int linux_open_directory(const char *path);

/* memfd_create(2) with close-on-exec. */
int linux_memory_file(const char *name);
