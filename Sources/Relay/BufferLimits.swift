import CLinux

/// How much the kernel keeps in the relay's sockets for a program that does not read.
///
/// Left to itself it grows each buffer to what tcp_rmem and tcp_wmem allow, 4 to 6 MiB, of which a stream has
/// four beside those of the programs: 60 stalled streams held over 1 GiB, near to where the whole host's TCP
/// slows down (tcp_mem). So each direction of a stream has a window, which begins small, and grows while bytes move
/// fast and `BufferBudget` has room (`StreamWindow`).
enum BufferLimits {
  /// What a direction begins with, in bytes: what the kernel begins with.
  static let initial: Int32 = 65_536
  /// The same where the budget is used up. On a link within the runner, whose segments have up to 64 KiB, it is more
  /// (`UnreadLimit`).
  static let scarce: Int32 = 32_768
  /// The most that one has, for a path without delay: two batches unsent, so that it does not run dry.
  static let most: Int32 = 524_288

  /// The socket that a direction is written to takes this much beyond its peer's window.
  static func limitUnsent(_ descriptor: Int32, _ window: Int32) {
    linux_tcp_limit_unsent(descriptor, window / 2)
  }

  /// What a direction with `window` keeps in the kernel at most, in bytes: of what is unread the kernel counts twice
  /// as much.
  static func cost(_ window: Int32) -> Int { Int(window) * 5 / 2 }
}
