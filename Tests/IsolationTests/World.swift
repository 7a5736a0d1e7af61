import Foundation
import TestSupport
import Testing

/// What is outside: the host as containers see it, which is the gateway of their bridge, and a neighbour
/// on the bridge. Both in namespaces of their own.
final class World {
  /// The host's side: it has a port of the bridge for each container, and watches all of them.
  let gateway: Actor
  let neighbour: Actor
  private let name: String
  static let (address, neighbourAddress, far) = ("10.213.0.1", "10.213.0.9", "192.0.2.1")
  /// What an egress rule of shop/app allows on port 443, by name.
  static let allowed = "10.213.0.7"

  init(_ laboratory: NamespaceLaboratory) throws {
    let (host, other) = (try laboratory.namespace().name, try laboratory.namespace().name)
    name = host
    for words in [
      "link set lo up", "link add br0 type bridge", "addr add 10.213.0.1/16 dev br0",
      "addr add fd21:3::1/64 dev br0 nodad", "addr add fe80::1/64 dev br0 nodad",
      "addr add 192.0.2.1/32 dev lo", "addr add \(Self.allowed)/32 dev lo",
      "addr add 169.254.169.254/32 dev lo", "addr add 2001:db8::1/128 dev lo nodad",
      "link set br0 up",
      "link add n0 type veth peer name eth0 netns \(other)", "link set n0 master br0 up",
    ] { try Self.ip(in: host, words) }
    for words in [
      "link set lo up", "addr add 10.213.0.9/16 dev eth0", "addr add fd21:3::9/64 dev eth0 nodad",
      "link set eth0 up",
    ] { try Self.ip(in: other, words) }
    gateway = try Self.actor(in: host, laboratory)
    neighbour = try Self.actor(in: other, laboratory)
    try gateway.tell("capture", "p")
    try gateway.tell("listen", 443)
    try gateway.tell(
      "know", ["outside": Self.address, "outside_link": "br0", "broadcast": "10.213.255.255"])
    try neighbour.tell(
      "know",
      ["outside": Self.neighbourAddress, "outside_link": "eth0", "broadcast": "10.213.255.255"])
  }

  static func actor(in namespace: String, _ laboratory: NamespaceLaboratory) throws -> Actor {
    let program = try Conversation(["ip", "netns", "exec", namespace] + Actor.command)
    laboratory.atEnd { program.stop() }
    return try Actor(program)
  }

  /// Makes the bridge's gateway a router to the runners on a wire, with this address there.
  func join(_ wire: ClusterWire, as address: String) throws {
    try wire.plug(in: name, as: address)
    let result = try run(
      ["ip", "netns", "exec", name, "sysctl", "-q", "-w", "net.ipv4.ip_forward=1"])
    guard result.status == 0 else { throw Unexpected("forwarding: \(result.errors)") }
  }

  /// Gives the network namespace of a process an eth0 on the bridge, with default routes, as a container
  /// engine would.
  func plug(in process: Int32, port: String, addresses: (String, String)) throws {
    try Self.ip(in: name, "link add \(port) type veth peer name eth0 netns \(process)")
    try Self.ip(in: name, "link set \(port) master br0 up")
    // Docker's containers have none.
    let ipv6 = try run(
      PacketPrograms.enter(process)
        + ["sysctl", "--quiet", "--write", "net.ipv6.conf.eth0.disable_ipv6=0"])
    guard ipv6.status == 0 else { throw Unexpected("IPv6: \(ipv6.errors)") }
    for words in [
      "addr add \(addresses.0)/16 dev eth0", "link set eth0 up",
      "addr add \(addresses.1)/64 dev eth0 nodad", "route add default via 10.213.0.1",
      "-6 route add default via fd21:3::1",
    ] {
      let result = try run(
        PacketPrograms.enter(process) + ["ip"] + words.split(separator: " ").map(String.init))
      guard result.status == 0 else { throw Unexpected("\(words): \(result.errors)") }
    }
  }

  private static func ip(in namespace: String, _ words: String) throws {
    let result = try run(["ip", "-n", namespace] + words.split(separator: " ").map(String.init))
    guard result.status == 0 else { throw Unexpected("\(words): \(result.errors)") }
  }
}
