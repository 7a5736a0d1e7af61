extension Row {
  /// TCP, UDP and sockets of other kinds, on their way out.
  static let sockets = tcp + fabric + udp + families

  /// Where its service has egress rules.
  static let withRules: [Row] = [
    Row(
      .tcp, "connect to another port of an address that an egress rule's name has", "tcp.other_port"
    ),
    Row(
      .tcp, "connect to 169.254.169.254 (metadata), which an egress rule's name has", "tcp.metadata"
    ),
  ]

  private static let ownAddresses = "the kernel routes no TCP from an address that it has not"
  private static let reports = "a report has a group and no data, and no hook of packets sees it"
  private static let unseen = "no hook of BPF sees such sockets"

  private static let tcp: [Row] = [
    Row(.tcp, "connect to the gateway of the bridge", "tcp.gateway"),
    Row(.tcp, "connect to a neighbour on the bridge", "tcp.neighbour"),
    Row(.tcp, "connect to an address behind the default route", "tcp.routed"),
    Row(.tcp, "DNS over TCP to the host's resolver", "tcp.resolver_of_host"),
    Row(
      .tcp, "DNS over TCP to what an engine has put on its 127.0.0.11", "tcp.resolver_of_engine",
      .says),
    Row(.tcp, "connect by IPv6 to the gateway", "tcp.gateway6"),
    Row(.tcp, "connect by IPv6 behind the default route", "tcp.routed6"),
    Row(.tcp, "connect by IPv6 to a link-local address", "tcp.link_local6"),
    Row(.tcp, "connect to a v4-mapped address", "tcp.mapped"),
    Row(.tcp, "connect to a v4-compatible address", "tcp.compatible"),
    Row(.tcp, "connect by NAT64's prefix", "tcp.nat64"),
    Row(
      .tcp, "connect an IPv6 socket to an IPv4 sockaddr", "tcp.v4_address_on_v6_socket",
      .structure("the kernel refuses it")),
    Row(.tcp, "connect without waiting", "tcp.without_waiting"),
    Row(.tcp, "sendto with MSG_FASTOPEN", "tcp.fast_open"),
    Row(.tcp, "sendto with MSG_FASTOPEN by IPv6", "tcp.fast_open6"),
    Row(.tcp, "TCP_FASTOPEN_CONNECT", "tcp.fast_open_connect"),
    Row(.tcp, "MPTCP", "tcp.multipath", .whereKernelCan),
    Row(.tcp, "MPTCP by IPv6", "tcp.multipath6", .whereKernelCan),
    Row(.tcp, "MPTCP to a v4-mapped address", "tcp.multipath_mapped", .whereKernelCan),
    Row(.tcp, "TCP_REPAIR: a connection declared established", "tcp.repair"),
    Row(.tcp, "connect by io_uring", "tcp.ring_connect"),
    Row(.tcp, "socket and connect by io_uring", "tcp.ring_socket"),
    Row(.tcp, "simultaneous open from the port that it connects to", "tcp.simultaneous"),
    Row(
      .tcp, "bind to 127.0.0.1, then connect", "tcp.bound_to_loopback",
      .structure("the kernel lets 127.0.0.0/8 out by no link")),
    Row(.tcp, "bind to the instance address, then connect", "tcp.bound_to_own"),
    Row(.tcp, "bind to eth0's address, then connect", "tcp.bound_to_eth0"),
    Row(.tcp, "bind to port 53, then connect", "tcp.bound_to_privileged"),
    Row(.tcp, "IP_TRANSPARENT: connect from a foreign address", "tcp.transparent"),
    Row(
      .tcp, "IP_FREEBIND: connect from a foreign address", "tcp.free_bind", .structure(ownAddresses)
    ),
    Row(
      .tcp, "ip_nonlocal_bind: connect from a foreign address", "tcp.nonlocal_bind",
      .structure(ownAddresses)),
    Row(.tcp, "SO_BINDTODEVICE eth0, then connect", "tcp.device"),
    Row(.tcp, "SO_BINDTODEVICE eth0, then connect to an instance address", "tcp.range_by_eth0"),
    Row(.tcp, "SO_BINDTOIFINDEX eth0, then connect to an instance address", "tcp.range_by_index"),
    Row(.tcp, "SO_BINDTODEVICE eth0, then connect to 127.9.9.9", "tcp.loopback_by_eth0"),
    Row(.tcp, "SO_BINDTODEVICE eth0, then connect to ::1", "tcp.loopback6_by_eth0"),
    Row(.tcp, "SO_BINDTODEVICE ist0, then connect", "tcp.own_link"),
    Row(.tcp, "SO_BINDTODEVICE ist0, then connect to 127.9.9.9", "tcp.loopback_by_own_link"),
    Row(.tcp, "connect to an instance, then SO_BINDTODEVICE eth0", "tcp.rebound"),
    Row(.tcp, "IP_OPTIONS: loose source route by way of the gateway", "tcp.source_route"),
    Row(.tcp, "IP_OPTIONS: strict source route, to 127.0.0.1", "tcp.strict_source_route"),
    Row(.tcp, "IPV6_RTHDR: segment route to ::1 by way of the gateway", "tcp.routing_header"),
    Row(.tcp, "connect to an instance, AF_UNSPEC, connect elsewhere", "tcp.again"),
    Row(.tcp, "connect a duplicated descriptor", "tcp.again_on_a_copy"),
    Row(
      .tcp, "connect a socket that listens", "tcp.from_a_listener",
      .structure("the kernel refuses it")),
    Row(.tcp, "connect from 20 threads at once", "tcp.many"),
    Row(
      .tcp, "connect with AF_UNSPEC and an address", "tcp.unspecified_family",
      .structure("the kernel disconnects")),
    Row(.tcp, "connect to 255.255.255.255", "tcp.broadcast", .structure("TCP has no broadcast")),
    Row(.tcp, "connect to 224.0.0.1", "tcp.multicast", .structure("TCP has no multicast")),
  ]

  private static let fabric: [Row] = [
    Row(.fabric, "connect to the relay's port 15001", "tcp.relay"),
    Row(.fabric, "connect to the relay's port by a v4-mapped address", "tcp.relay_mapped"),
    Row(.fabric, "MSG_FASTOPEN to the relay's port", "tcp.relay_fast_open"),
    Row(.fabric, "connect to another port of the fabric's address", "tcp.fabric_port"),
    Row(.fabric, "connect to another address of the fabric's block", "tcp.fabric_block"),
    Row(.fabric, "connect to the gateway of ist0, 169.254.1.1", "tcp.link_gateway"),
    Row(.fabric, "connect to a runner's tunnel port", "tcp.tunnel"),
    Row(
      .fabric, "connect to a runner's tunnel port from the instance address", "tcp.runner_from_ist0"
    ),
    Row(.fabric, "connect to the address of no service", "tcp.undeclared"),
    Row(.fabric, "connect to an instance of no service", "tcp.undeclared_instance"),
    Row(.fabric, "connect to no instance of a service", "tcp.absent_instance"),
    Row(.fabric, "connect to a service's .0", "tcp.network_of_service"),
    Row(.fabric, "connect to a service's .255", "tcp.broadcast_of_service"),
    Row(.fabric, "connect to the range's last address", "tcp.end_of_range"),
  ]

  private static let udp: [Row] = [
    Row(.udp, "sendto the gateway", "udp.send"),
    Row(.udp, "sendto a neighbour", "udp.send_to_neighbour"),
    Row(.udp, "sendto behind the default route", "udp.send_routed"),
    Row(.udp, "sendto by IPv6", "udp.send6"),
    Row(.udp, "sendto by IPv6 to a link-local address", "udp.send_link_local6"),
    Row(.udp, "sendto a v4-mapped address", "udp.send_mapped"),
    Row(.udp, "sendto an IPv4 sockaddr on an IPv6 socket", "udp.v4_address_on_v6_socket"),
    Row(.udp, "sendto with AF_UNSPEC and an address", "udp.unspecified_family"),
    Row(.udp, "an empty datagram", "udp.send_nothing"),
    Row(.udp, "connect, then send", "udp.connected"),
    Row(.udp, "connect, then send, by IPv6", "udp.connected6"),
    Row(.udp, "connect, then send, to a v4-mapped address", "udp.connected_mapped"),
    Row(.udp, "connect to itself, then sendto elsewhere", "udp.connected_to_itself_then_sent"),
    Row(.udp, "connect, then write(2)", "udp.write"),
    Row(.udp, "sendmsg with IP_PKTINFO", "udp.message_with_source"),
    Row(.udp, "sendmsg with IPV6_PKTINFO", "udp.message_with_source6"),
    Row(.udp, "sendmsg with IP_RETOPTS: a source route", "udp.message_with_route"),
    Row(.udp, "sendmmsg", "udp.many_messages"),
    Row(.udp, "sendmsg by io_uring", "udp.ring_message"),
    Row(.udp, "corked by MSG_MORE", "udp.corked"),
    Row(.udp, "corked by UDP_CORK", "udp.corked_by_option"),
    Row(
      .udp, "corked towards loopback, released elsewhere", "udp.corked_elsewhere",
      .structure("the first destination stays")),
    Row(.udp, "sendfile", "udp.sent_file"),
    Row(.udp, "splice", "udp.spliced"),
    Row(.udp, "UDP_SEGMENT", "udp.segmented"),
    Row(.udp, "MSG_ZEROCOPY", "udp.without_copy"),
    Row(.udp, "MSG_DONTROUTE", "udp.to_route"),
    Row(.udp, "SO_BINDTODEVICE eth0", "udp.device"),
    Row(.udp, "IP_UNICAST_IF eth0", "udp.unicast_interface"),
    Row(.udp, "bind to eth0's port 53", "udp.bound"),
    Row(.udp, "broadcast to the bridge's network", "udp.broadcast"),
    Row(.udp, "broadcast to 255.255.255.255", "udp.limited_broadcast"),
    Row(.udp, "multicast", "udp.multicast"),
    Row(.udp, "multicast by IPv6", "udp.multicast6"),
    Row(.udp, "UDP-Lite", "udp.lite", .whereKernelCan),
    Row(.udp, "UDP-Lite by IPv6", "udp.lite6", .whereKernelCan),
    Row(.udp, "IP_ADD_MEMBERSHIP: the kernel's own IGMP report", "udp.group", alone: reports),
    Row(
      .udp, "MCAST_JOIN_GROUP: the kernel's own IGMP report", "udp.group_by_family", alone: reports),
    Row(.udp, "IPV6_JOIN_GROUP: the kernel's own MLD report", "udp.group6", alone: reports),
    Row(.udp, "sendto an instance of the same deployment", "udp.to_instance"),
    Row(.udp, "connect to an instance, then send", "udp.to_instance_connected"),
    Row(.udp, "from the instance address to an instance", "udp.to_instance_from_ist0"),
    Row(.udp, "UDP-Lite to an instance", "udp.to_instance_lite", .whereKernelCan),
    Row(.udp, "sendto the relay's port", "udp.to_relay"),
    Row(.udp, "sendto itself on loopback", "udp.to_itself", .says),
  ]

  private static let families: [Row] = [
    Row(.families, "ping socket", "families.ping"),
    Row(.families, "ping socket by IPv6", "families.ping6"),
    Row(.families, "ping socket to an instance", "families.ping_instance"),
    Row(.families, "SCTP", "families.sctp", .whereKernelCan),
    Row(.families, "SCTP, one to many", "families.sctp_seqpacket", .whereKernelCan),
    Row(.families, "DCCP", "families.dccp", .whereKernelCan),
    Row(.families, "SMC as a protocol of AF_INET", "families.smc_by_protocol", .whereKernelCan),
    Row(.families, "raw IPv4", "families.raw"),
    Row(.families, "raw TCP", "families.raw_tcp"),
    Row(.families, "raw UDP", "families.raw_udp"),
    Row(.families, "raw ICMP", "families.raw_icmp"),
    Row(.families, "raw IPv4 with a header of its own (IP_HDRINCL)", "families.raw_header"),
    Row(.families, "raw IPv6", "families.raw6"),
    Row(.families, "raw ICMPv6", "families.raw6_icmp"),
    Row(.families, "raw IPv4 to an instance", "families.raw_to_instance"),
    Row(.families, "raw UDP to an instance", "families.raw_udp_to_instance"),
    Row(
      .families, "raw TCP to an instance from a foreign address", "families.raw_spoofed_to_instance"
    ),
    Row(
      .families, "every type of AF_INET and AF_INET6, of 22 protocols", "families.inet_kinds",
      .says,
      alone: "what they could send is stopped besides"),
    Row(.families, "packet socket on eth0", "families.packet"),
    Row(.families, "packet socket, SOCK_DGRAM", "families.packet_datagram"),
    Row(.families, "packet socket of Linux 2.0 (SOCK_PACKET)", "families.packet_old"),
    Row(.families, "packet socket that listens on ist0", "families.packet_listens", .says),
    Row(
      .families, "packet socket, with bits in the upper half of the family",
      "families.packet_by_upper_half", .says),
    Row(.families, "packet socket by the x32 ABI", "families.packet_by_x32", .whereKernelCan),
    Row(
      .families, "packet sockets by socketpair", "families.packet_by_pair",
      .structure("the kernel has no such pair")),
    Row(.families, "packet socket by io_uring", "families.packet_by_ring", .says),
    Row(
      .families, "packet socket by 32-bit system calls and socketcall", "families.packet_by_32_bit",
      .whereKernelCan),
    Row(.families, "AF_VSOCK", "families.vsock", .whereKernelCan, alone: unseen),
    Row(.families, "AF_XDP", "families.xdp", .whereKernelCan),
    Row(.families, "every other family", "families.others", .says, alone: unseen),
  ]
}
