/* c-ares: the host's resolver configuration, with the time to live of what it finds, and without waiting. */
#pragma once
#include <ares.h>
