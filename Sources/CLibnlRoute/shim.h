/* rtnetlink through libnl: links, addresses, routes, neighbours; and sock_diag, which has no more
 * than messages; for the target Fabric alone. */
#pragma once
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netlink/cache.h>
#include <netlink/errno.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/route/addr.h>
#include <netlink/route/link.h>
#include <netlink/route/link/veth.h>
#include <netlink/route/neighbour.h>
#include <netlink/route/nexthop.h>
#include <netlink/route/route.h>
