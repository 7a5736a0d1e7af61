/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* From glibc's <sys/socket.h>, which cannot be included for the BPF target. Kernel ABI: they never
 * change. */
#pragma once

#define AF_INET 2
#define AF_INET6 10
#define SOCK_STREAM 1
#define SOCK_DGRAM 2
#define SOL_IP 0
#define SOL_IPV6 41
