import CLinux

/// How much the kernel keeps in one of the relay's sockets until it is read, in bytes.
///
/// TCP takes nothing back: what the sender was told that it may send stays promised. Where the buffer is smaller by then,
/// the kernel drops what comes of it, and it comes again after 200 ms and more. So the buffer only grows, until `cut`.
struct UnreadLimit {
  /// What the sender may have been told; 0 before the first `raise` or `cut`.
  private(set) var window: Int32 = 0
  /// The largest segments that the sender makes.
  private var segment: Int32 = 0

  /// Has the window of `descriptor` be `size` at least.
  mutating func raise(to size: Int32, on descriptor: Int32) {
    begin(descriptor)
    if size > window { set(size, descriptor) }
  }

  /// Has it be `size`, or what TCP needs: what was promised beyond that and comes is dropped.
  mutating func cut(to size: Int32, on descriptor: Int32) {
    begin(descriptor)
    let size = least(size)
    if size < window { set(size, descriptor) }
  }

  /// What it can be cut to instead of `size`. A sender that has less room than a segment, or than half of the largest
  /// window that it has seen, waits for a timer of 200 ms (tcp_snd_wnd_test, tcp_bound_to_half_wnd). Two of these keep it
  /// going.
  func least(_ size: Int32) -> Int32 { max(size, min(2 * segment, window)) }

  /// From now on the kernel does not find out by itself.
  private mutating func begin(_ descriptor: Int32) {
    guard window == 0 else { return }
    segment = linux_tcp_largest_received(descriptor)
    // Not less than its sender may have been told, as where another loop has had it before.
    let buffer = linux_receive_buffer(descriptor) / 2
    set(min(max(BufferLimits.initial, buffer), BufferLimits.most), descriptor)
  }

  private mutating func set(_ size: Int32, _ descriptor: Int32) {
    window = size
    linux_limit_receive_buffer(descriptor, size)
  }
}

/// A socket of the relay that is read from.
protocol UnreadSocket: AnyObject {
  /// How much the kernel keeps of what comes; untouched where it finds that out by itself.
  var unread: UnreadLimit { get }
  /// Has `unread` be so many bytes at least.
  func raiseUnread(to size: Int32)
  /// Has `unread` be so many bytes, and what was promised beyond be dropped.
  func cutUnread(to size: Int32)
}
