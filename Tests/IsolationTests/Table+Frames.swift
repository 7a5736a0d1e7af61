extension Row {
  /// Frames on ist0, and what comes in over the bridge.
  static let frames = forged + inbound

  private static let forged: [Row] = [
    Row(.forged, "from an instance of another service", "forged.spoofed_service"),
    Row(.forged, "from another instance of the same service", "forged.spoofed_sibling"),
    Row(.forged, "from the victim itself (LAND)", "forged.spoofed_victim"),
    Row(.forged, "from the fabric, as the front door", "forged.spoofed_door"),
    Row(.forged, "from 127.0.0.1", "forged.spoofed_loopback"),
    Row(.forged, "from an address outside the range", "forged.spoofed_foreign"),
    Row(.forged, "from 0.0.0.0", "forged.spoofed_nobody"),
    Row(.forged, "from 255.255.255.255", "forged.spoofed_broadcast"),
    Row(.forged, "RST in another's name", "forged.spoofed_reset"),
    Row(
      .forged, "from a foreign address, to the victim's hardware address",
      "forged.to_other_hardware"),
    Row(.forged, "UDP", "forged.datagram"),
    Row(.forged, "UDP without a header", "forged.datagram_of_nothing"),
    Row(.forged, "ICMP echo", "forged.echo"),
    Row(.forged, "ICMP redirect, to be the victim's gateway", "forged.redirect"),
    Row(.forged, "ICMP unreachable, to end another's connection", "forged.unreachable"),
    Row(.forged, "IGMP", "forged.group_report"),
    Row(.forged, "SCTP", "forged.sctp"),
    Row(.forged, "DCCP", "forged.dccp"),
    Row(.forged, "GRE with TCP inside", "forged.gre"),
    Row(.forged, "IP in IP, with another's source inside", "forged.ip_in_ip"),
    Row(.forged, "IPv6 in IP", "forged.ipv6_in_ip"),
    Row(.forged, "protocol 255", "forged.reserved_protocol"),
    Row(.forged, "first fragment", "forged.first_fragment"),
    Row(.forged, "later fragment", "forged.later_fragment"),
    Row(.forged, "fragment that ends within the TCP header", "forged.tiny_fragment"),
    Row(.forged, "UDP with the reserved flag", "forged.reserved_flag"),
    Row(.forged, "IP option: source route", "forged.options"),
    Row(.forged, "IP option: timestamp", "forged.timestamp_option"),
    Row(.forged, "IP header of 16 bytes", "forged.short_header"),
    Row(.forged, "IP header cut off", "forged.truncated_ip"),
    Row(.forged, "TCP header cut off", "forged.truncated_tcp"),
    Row(.forged, "Ethernet header alone", "forged.no_payload", .whereKernelCan),
    Row(.forged, "IP version 6 in an IPv4 frame", "forged.version_6_as_4"),
    Row(.forged, "IP that says to be longer than its frame", "forged.jumbo"),
    Row(
      .forged, "SYN to the relay's port", "forged.to_block_0",
      .structure("nobody answers a SYN whose caller does not know of it")),
    Row(
      .forged, "data to the relay's port without a SYN", "forged.to_block_0_data",
      .structure("no socket has such a connection")),
    Row(.forged, "TCP to an address outside the range", "forged.to_foreign"),
    Row(.forged, "TCP to 127.0.0.1 of the fabric", "forged.to_loopback"),
    Row(.forged, "TCP to its own address", "forged.to_itself"),
    Row(.forged, "TCP to 255.255.255.255", "forged.to_everyone"),
    Row(.forged, "TCP to 224.0.0.1", "forged.to_group"),
    Row(.forged, "IPv6", "forged.ipv6"),
    Row(.forged, "IPv6 of v4-mapped addresses", "forged.ipv6_mapped"),
    Row(.forged, "ARP request", "forged.arp_request"),
    Row(.forged, "ARP reply as the gateway", "forged.arp_reply"),
    Row(.forged, "VLAN tag", "forged.vlan"),
    Row(.forged, "priority tag (VLAN 0)", "forged.vlan_of_nothing"),
    Row(.forged, "two VLAN tags (802.1ad)", "forged.double_vlan"),
    Row(.forged, "MPLS", "forged.mpls"),
    Row(.forged, "PPPoE", "forged.pppoe"),
    Row(.forged, "802.3 with LLC", "forged.llc"),
    Row(.forged, "an ethertype of its own", "forged.own_type"),
    Row(.forged, "300 frames of noise", "forged.noise"),
  ]

  private static let inbound: [Row] = [
    Row(.inbound, "TCP from the host", "inbound.tcp", from: .gateway),
    Row(.inbound, "TCP from a neighbour on the bridge", "inbound.tcp", from: .neighbour),
    Row(.inbound, "TCP by IPv6", "inbound.tcp6", from: .neighbour),
    Row(.inbound, "MPTCP", "inbound.multipath", from: .neighbour, .whereKernelCan),
    Row(.inbound, "TCP fast open", "inbound.fast_open", from: .neighbour),
    Row(.inbound, "TCP from port 53", "inbound.from_privileged", from: .gateway),
    Row(
      .inbound, "TCP to the instance address by way of the bridge", "inbound.to_instance_address",
      from: .neighbour),
    Row(
      .inbound, "TCP from an address of the range, over the bridge", "inbound.as_a_peer",
      from: .neighbour, .structure("the answer goes to ist0")),
    Row(
      .inbound, "SYN to 127.0.0.1, over the bridge", "inbound.to_loopback", from: .neighbour,
      .structure("the kernel takes 127.0.0.0/8 from no link")),
    Row(.inbound, "a port that an engine publishes", "inbound.published", from: .gateway),
    Row(.inbound, "UDP", "inbound.udp", from: .neighbour),
    Row(.inbound, "UDP by IPv6", "inbound.udp6", from: .neighbour),
    Row(.inbound, "UDP in fragments", "inbound.udp_fragments", from: .neighbour),
    Row(
      .inbound, "UDP broadcast to the bridge's network", "inbound.udp_broadcast", from: .neighbour),
    Row(
      .inbound, "UDP broadcast to 255.255.255.255", "inbound.udp_limited_broadcast",
      from: .neighbour),
    Row(
      .inbound, "multicast to a group that the container joined", "inbound.udp_multicast",
      from: .neighbour),
    Row(.inbound, "multicast to 224.0.0.1", "inbound.udp_all_systems", from: .gateway),
    Row(.inbound, "multicast to ff02::1", "inbound.udp_all_systems6", from: .neighbour),
    Row(
      .inbound, "TCP from another deployment, to eth0's address", "inbound.tcp", from: .deployment,
      .structure("the walls of the other one")),
    Row(
      .inbound, "UDP from another deployment, to eth0's address", "inbound.udp", from: .deployment,
      .structure("the walls of the other one")),
    Row(
      .inbound, "TCP from another deployment, to the instance address", "inbound.range",
      from: .deployment, .structure("two fabrics share no link")),
    Row(
      .inbound, "TCP from another deployment, to the service address", "inbound.service",
      from: .deployment, .structure("two fabrics share no link")),
  ]
}
