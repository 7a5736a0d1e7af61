/* mount(2) and what tells file systems apart. */
#pragma once
#include <stddef.h>
#include <stdint.h>

extern const unsigned long linux_ms_bind, linux_ms_rec, linux_ms_remount, linux_ms_rdonly;
extern const unsigned long linux_ms_nosuid, linux_ms_nodev, linux_ms_noexec;
extern const unsigned long linux_ms_private, linux_ms_slave, linux_ms_shared;

/* mount(2). `source`, `type` and `data` may be null. */
int linux_mount(const char *source, const char *target, const char *type, unsigned long flags,
		const char *data);

/* umount2(2); `lazy` detaches a mount that is in use (MNT_DETACH). */
int linux_unmount(const char *target, int lazy);

/* f_type of statfs(2) for `path`: a magic number, or -1. */
int64_t linux_file_system_magic(const char *path);

/* The MS_ flags (nosuid, nodev, noexec, rdonly) that the mount at `path` has, or -1. */
int64_t linux_mount_flags(const char *path);

static const int64_t linux_magic_bpf = 0xcafe4a11, linux_magic_cgroup2 = 0x63677270,
		     linux_magic_nsfs = 0x6e736673;
