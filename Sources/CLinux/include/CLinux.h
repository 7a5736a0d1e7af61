/* Linux interfaces that Glibc's module does not offer to Swift, by topic. One prefix, linux_.
 *
 * Every function here is a thin call: it returns what the system call returns, and errno says why
 * it failed. */
#pragma once
#include "linux_clock.h"
#include "linux_congestion.h"
#include "linux_credentials.h"
#include "linux_events.h"
#include "linux_files.h"
#include "linux_ipv4_sockets.h"
#include "linux_landlock.h"
#include "linux_mounts.h"
#include "linux_namespaces.h"
#include "linux_pipes.h"
#include "linux_processes.h"
#include "linux_sockets.h"
#include "linux_tls.h"
#include "linux_unix_sockets.h"
