import CLinux

/// Two TCP sockets that are connected with each other and with nobody else, where something wants TCP at both ends.
@frozen
public struct TCPSocketPair: ~Copyable {
  /// One end, non-blocking.
  public let near: OwnedDescriptor
  /// The other, non-blocking.
  public let far: OwnedDescriptor

  /// A new pair over the loopback interface of the calling thread's network namespace. Throws `SystemError`.
  public init() throws {
    var pair: [Int32] = [-1, -1]
    guard linux_tcp_pair(&pair) == 0 else {
      throw SystemError(.last, "connect", "two sockets over loopback")
    }
    near = OwnedDescriptor(owning: pair[0])
    far = OwnedDescriptor(owning: pair[1])
  }
}
