/* Unix stream sockets that have a path. A path that is too long for sockaddr_un is ENAMETOOLONG. */
#pragma once
#include <sys/types.h>

/* A socket that listens at `path`, non-blocking and closed on exec. */
int linux_unix_listen(const char *path);

/* A socket connected to `path`, whose calls fail with EAGAIN after `seconds`; closed on exec. */
int linux_unix_connect(const char *path, int seconds);

/* The process that listens at the other end (SO_PEERCRED: as it was when it began to), or -1. */
pid_t linux_unix_peer(int fd);
