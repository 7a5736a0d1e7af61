/* adjtimex(2), which Glibc's module does not offer to Swift. */
#pragma once

/* Whether something synchronizes CLOCK_REALTIME: 1 or 0, or -1 with errno. Where it does, `*most` is by how
 * many microseconds it may be wrong at most, as the kernel estimates. */
int linux_clock_is_synchronized(long *most);
