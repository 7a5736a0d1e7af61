extension Row {
  /// Between two runners, each with a victim.
  static let runners = runnersPorts + otherRunnersInstances + pastTheRunner

  private static let runnersPorts: [Row] = [
    Row(.runners, "connect to the other runner's tunnel port", "across.tunnel"),
    Row(.runners, "the same by a v4-mapped address", "across.tunnel_mapped"),
    Row(.runners, "MSG_FASTOPEN to the other runner's tunnel port", "across.tunnel_fast_open"),
    Row(
      .runners, "SO_BINDTODEVICE eth0, then the other runner's tunnel port", "across.tunnel_by_eth0"
    ),
    Row(
      .runners, "bind to the instance address, then the other runner's tunnel port",
      "across.tunnel_from_own"),
    Row(.runners, "raw TCP to the other runner's tunnel port", "across.raw_to_runner"),
    Row(.runners, "UDP to the other runner", "across.datagram_to_runner"),
    Row(.runners, "connect to its own runner's tunnel port", "across.own_tunnel"),
    Row(.runners, "connect to the cluster's etcd", "across.registry"),
  ]

  private static let otherRunnersInstances: [Row] = [
    Row(.runners, "UDP to an instance of the other runner", "across.datagram"),
    Row(.runners, "raw UDP to an instance of the other runner", "across.raw_datagram"),
    Row(.runners, "forged UDP to an instance of the other runner", "across.forged_datagram"),
    Row(.runners, "forged ICMP echo to an instance of the other runner", "across.forged_echo"),
    Row(
      .runners, "SYN in another service's name, to an instance of the other runner",
      "across.spoofed_service"),
    Row(
      .runners, "SYN in a sibling's name, to an instance of the other runner",
      "across.spoofed_sibling"),
    Row(
      .runners, "SYN in the name of an instance of the other runner", "across.spoofed_far"),
    Row(.runners, "RST in the name of an instance of the other runner", "across.reset_by_far"),
    Row(
      .runners, "RST in a sibling's name, to an instance of the other runner",
      "across.reset_of_far"),
    Row(.runners, "IP in IP to an instance of the other runner", "across.tunnelled"),
    Row(
      .runners, "data without a SYN, to an instance of the other runner", "across.data_without_syn"),
  ]

  private static let unrouted = "a runner has no route to its instances"

  private static let pastTheRunner: [Row] = [
    Row(
      .runners, "TCP from another deployment, to an instance of the other runner",
      "across.to_far_instance", from: .deployment,
      .structure("the relay knows its own deployment's instances")),
    Row(
      .runners, "UDP from another deployment, to an instance of the other runner",
      "across.datagram", from: .deployment, .structure("two fabrics share no link")),
    Row(
      .runners, "TCP from the network, by way of the other runner", "across.by_the_runner",
      from: .gateway, .structure(unrouted)),
    Row(
      .runners, "UDP from the network, by way of the other runner",
      "across.datagram_by_the_runner", from: .gateway, .structure(unrouted)),
  ]
}
