/* Landlock (Linux >= 5.13), for what a domain of it means to ptrace(2), not for its rules on files. */
#pragma once

/* Puts the calling thread, and all that it starts or calls exec for, into a domain of its own; needs
 * CAP_SYS_ADMIN. ENOSYS or EOPNOTSUPP where the kernel has no Landlock or has it switched off. */
int linux_enter_landlock_domain(void);
