#include "linux_clock.h"

#include <sys/timex.h>

int linux_clock_is_synchronized(long *most)
{
	struct timex state = { 0 };
	if (adjtimex(&state) < 0)
		return -1;
	*most = state.maxerror;
	return !(state.status & STA_UNSYNC);
}
