import CLinux

/// How much of what comes the kernel keeps in one of the relay's sockets until it is read, in bytes.
///
/// TCP takes nothing back: what the sender was told that it may send stays promised when the window is made smaller.
/// Where the buffer shrinks too, the kernel drops what comes of that, and it comes again after 200 ms and more. So the
/// buffer stays as large as what was promised, until `cut`.
struct UnreadLimit {
  /// What the sender is told, beyond what it knows already; 0 before `set`.
  private(set) var window: Int32 = 0
  /// The most that it may have been told.
  private(set) var promised: Int32 = 0
  /// What the kernel began with.
  private var first: Int32 = 0
  /// The largest segments that the sender makes.
  private var segment: Int32 = 0

  /// Whether the sender may send much more than the window has.
  var isBeyond: Bool { promised > max(window, BufferLimits.initial) }

  /// Has the window of `descriptor` be `size`, or what TCP needs.
  mutating func set(_ size: Int32, on descriptor: Int32) {
    if first == 0 {
      first = max(linux_receive_buffer(descriptor) / 2, 1)
      promised = first
      segment = linux_tcp_largest_received(descriptor)
    }
    // A sender waits for less than a segment, or half of the largest window that it has seen, until a timer of 200 ms
    // (tcp_snd_wnd_test, tcp_bound_to_half_wnd). Two of these keep it going.
    let window = max(size, min(2 * segment, promised))
    guard window != self.window else { return }
    self.window = window
    promised = max(promised, window)
    apply(descriptor)
  }

  /// Has the kernel keep no more than the window: what was promised beyond it and comes is dropped.
  mutating func cut(on descriptor: Int32) {
    guard isBeyond else { return }
    promised = window
    apply(descriptor)
  }

  private func apply(_ descriptor: Int32) {
    linux_limit_receive_buffer(descriptor, window, max(promised, first))
  }
}
