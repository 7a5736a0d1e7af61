/* Credentials and capabilities of the calling thread alone.
 *
 * glibc's setuid(3) and its kin change every thread of the process (nptl(7)); these are the system
 * calls themselves, so that a program can drop rights on the thread that will call exec. */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* setgroups(2), setresgid(2) and setresuid(2) for real, effective and saved ids at once. */
int linux_set_groups(size_t count, const gid_t *groups);
int linux_set_gid(gid_t gid);
int linux_set_uid(uid_t uid);

/* capset(2) and capget(2): bit n is capability n. */
int linux_set_capabilities(uint64_t effective, uint64_t permitted, uint64_t inheritable);
int linux_get_capabilities(uint64_t *effective, uint64_t *permitted, uint64_t *inheritable);

/* 1 or 0: whether the bounding set has `capability`; -1 (EINVAL) where the kernel knows none such. */
int linux_bounding_set_has(int capability);

/* Takes `capability` out of the bounding set, for good. */
int linux_bounding_set_drop(int capability);

/* Empties the ambient set. */
int linux_ambient_set_clear(void);
