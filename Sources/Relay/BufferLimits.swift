import CLinux

/// How much the kernel keeps in the relay's sockets for a program that does not read.
///
/// Left to itself it grows each buffer to what tcp_rmem and tcp_wmem allow, 4 to 6 MiB, of which a stream has
/// four beside those of the programs: 60 stalled streams held over 1 GiB, near to where the whole host's TCP
/// slows down (tcp_mem).
enum BufferLimits {
  /// What a socket takes beyond its peer's window, in bytes: two batches, so that it does not run dry.
  private static let unsent: Int32 = 262_144
  /// What one of a path without delay keeps, in bytes, of which the kernel makes twice as much.
  private static let unread: Int32 = 524_288

  /// For the socket of a program, which is on this runner.
  static func apply(toLocal descriptor: Int32) {
    linux_tcp_limit_unsent(descriptor, unsent)
    linux_limit_receive_buffer(descriptor, unread)
  }

  /// For a tunnel that has made its handshake. One to a far runner needs as much as is under way in a round trip,
  /// which the kernel finds out.
  static func apply(toTunnel descriptor: Int32) {
    linux_tcp_limit_unsent(descriptor, unsent)
    guard !TunnelCongestion.isFar(descriptor) else { return }
    linux_limit_receive_buffer(descriptor, unread)
  }
}
