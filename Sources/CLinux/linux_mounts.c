#define _GNU_SOURCE
#include "linux_mounts.h"

#include <sys/mount.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>

const unsigned long linux_ms_bind = MS_BIND, linux_ms_rec = MS_REC, linux_ms_remount = MS_REMOUNT,
		    linux_ms_rdonly = MS_RDONLY, linux_ms_nosuid = MS_NOSUID, linux_ms_nodev = MS_NODEV,
		    linux_ms_noexec = MS_NOEXEC, linux_ms_private = MS_PRIVATE, linux_ms_slave = MS_SLAVE,
		    linux_ms_shared = MS_SHARED;

int linux_mount(const char *source, const char *target, const char *type, unsigned long flags,
		const char *data)
{
	return mount(source, target, type, flags, data);
}

int linux_unmount(const char *target, int lazy)
{
	return umount2(target, UMOUNT_NOFOLLOW | (lazy ? MNT_DETACH : 0));
}

int64_t linux_file_system_magic(const char *path)
{
	struct statfs s;
	return statfs(path, &s) == 0 ? (int64_t)(uint32_t)s.f_type : -1;
}

int64_t linux_mount_flags(const char *path)
{
	struct statvfs s;
	if (statvfs(path, &s) != 0)
		return -1;
	return (s.f_flag & ST_RDONLY ? MS_RDONLY : 0) | (s.f_flag & ST_NOSUID ? MS_NOSUID : 0) |
	       (s.f_flag & ST_NODEV ? MS_NODEV : 0) | (s.f_flag & ST_NOEXEC ? MS_NOEXEC : 0);
}
