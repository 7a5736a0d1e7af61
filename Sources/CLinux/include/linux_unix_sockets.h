/* Unix sockets that have a path. A path that is too long for sockaddr_un is ENAMETOOLONG. */
#pragma once
#include <stdint.h>
#include <sys/types.h>

/* A socket that listens at `path`, non-blocking and closed on exec. */
int linux_unix_listen(const char *path);

/* A socket connected to `path`, whose calls fail with EAGAIN after `seconds`; closed on exec. */
int linux_unix_connect(const char *path, int seconds);

/* Sends one datagram to the socket at `path`, or by the abstract name after its `@`. 0, or -1: EMSGSIZE where it is too
 * large for one, some 200 KiB. */
int linux_unix_send_datagram(const char *path, const void *bytes, size_t size);

/* The process that listens at the other end (SO_PEERCRED: as it was when it began to), or -1. */
pid_t linux_unix_peer(int fd);

/* The same, and the user that it was then; 0, or -1. */
int linux_unix_peer_credentials(int fd, pid_t *process, uid_t *user);

/* Sends `size` bytes, at least one, and a duplicate of `descriptor` with the first of them (SCM_RIGHTS). The number
 * of bytes sent, or -1. */
ssize_t linux_unix_send_descriptor(int fd, const void *bytes, size_t size, int descriptor);

/* recv(2) that also takes a descriptor which comes with the bytes, closed on exec; -1 in `descriptor` where none
 * does. */
ssize_t linux_unix_receive_descriptor(int fd, void *bytes, size_t size, int *descriptor);

/* The most descriptors that come with one message (SCM_MAX_FD in include/net/scm.h). */
#define linux_unix_most_descriptors 253

/* As `linux_unix_send_descriptor` for `count` of them, which may be 0. */
ssize_t
linux_unix_send_descriptors(int fd, const void *bytes, size_t size, const int *descriptors, size_t count);

/* As `linux_unix_receive_descriptor` for up to `linux_unix_most_descriptors`, for which there is room; how many came is
 * in `count`. Those beyond that number are closed by the kernel. */
ssize_t linux_unix_receive_descriptors(int fd, void *bytes, size_t size, int *descriptors, size_t *count);

/* The file that a Unix socket was bound to, as a descriptor with O_PATH, closed on exec (SIOCUNIXFILE, CAP_NET_ADMIN):
 * of the socket with this inode number that `process` has as `descriptor` (pidfd_getfd(2), PTRACE_MODE_ATTACH). -1:
 * EBADF where that is another one by now, ENOENT where it has no file. */
int linux_unix_bound_file(pid_t process, int descriptor, uint64_t inode);
