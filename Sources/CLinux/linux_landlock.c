#define _GNU_SOURCE
#include "linux_landlock.h"

#include <fcntl.h>
#include <linux/landlock.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The header may be older than the kernel: `scoped` came with ABI 6 (Linux 6.12). */
struct ruleset {
	uint64_t handled_access_fs, handled_access_net, scoped;
};
enum { abi_with_refer = 2, abi_with_scopes = 6 };
static const uint64_t scope_abstract_unix_sockets = 1 << 0, scope_signals = 1 << 1;

int linux_enter_landlock_domain(void)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	if (abi < 0)
		return -1;
	/* A domain handles one right at least. REFER (renaming between directories) is refused to every
   * domain that does not ask for it, so it is the one to ask for, and to be granted everywhere. */
	uint64_t right = abi >= abi_with_refer ? LANDLOCK_ACCESS_FS_REFER : LANDLOCK_ACCESS_FS_MAKE_BLOCK;
	struct ruleset all = { .handled_access_fs = right };
	size_t size = sizeof(all.handled_access_fs);
	if (abi >= abi_with_scopes) {
		all.scoped = scope_abstract_unix_sockets | scope_signals;
		size = sizeof(all);
	}
	int ruleset = (int)syscall(SYS_landlock_create_ruleset, &all, size, 0);
	if (ruleset < 0)
		return -1;
	int root = open("/", O_PATH | O_CLOEXEC);
	struct landlock_path_beneath_attr everywhere = { .allowed_access = right, .parent_fd = root };
	int result = -1;
	if (root >= 0 && !syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &everywhere, 0))
		result = (int)syscall(SYS_landlock_restrict_self, ruleset, 0);
	if (root >= 0)
		close(root);
	close(ruleset);
	return result;
}
