import CLinux
import Glibc
import LinuxSystem

/// The congestion control of tunnels: the host's, except that between near runners it is not BBR.
///
/// BBR spaces out what it sends by timers, one for each 64 KiB. In a round trip of less than a
/// millisecond it finds out nothing that would be worth them: a tunnel had 0.6 of the throughput that
/// it has with Reno (Linux 6.18, a veth). Reno is in every kernel, and over so short a path recovers
/// from a loss as fast as CUBIC. Far runners have what the host has, which is BBR for good reasons. A
/// congestion control that the route names (`ip route ... congctl`) goes before all of this.
enum TunnelCongestion {
  /// The round trip from which on a runner is far, in microseconds.
  private static let far: Int64 = 1000
  private static let substitute = "reno"

  /// For a socket that will connect, or listen: a connection that was BBR's once is paced for ever.
  static func begin(_ descriptor: Int32) {
    guard name(descriptor).hasPrefix("bbr") else { return }
    _ = linux_set_congestion(descriptor, substitute)
  }

  /// For a connection that has made its handshake, and so knows its round trip.
  static func settle(_ descriptor: Int32, far: Int64 = far) {
    guard isFar(descriptor, far), name(descriptor) == substitute,
      let standard = standard()
    else { return }
    _ = linux_set_congestion(descriptor, standard)
  }

  /// Whether the runner at the other end of a connection that has made its handshake is far.
  static func isFar(_ descriptor: Int32, _ far: Int64 = far) -> Bool {
    linux_shortest_round_trip(descriptor) >= far
  }

  /// What a new socket has.
  private static func standard() -> String? {
    let descriptor = linux_tcp_socket(AF_INET)
    guard descriptor >= 0 else { return nil }
    let socket = OwnedDescriptor(owning: descriptor)
    return name(socket.rawValue)
  }

  private static func name(_ descriptor: Int32) -> String {
    var name = [CChar](repeating: 0, count: Int(linux_congestion_name_size))
    guard linux_congestion(descriptor, &name) == 0 else { return "" }
    return String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }
}
