import CLinux
import Glibc
import LinuxSystem
import Synchronization

/// A descriptor on its way to another thread: whoever takes it first owns it.
public final class DescriptorHandoff: Sendable {
  private let descriptor: Mutex<OwnedDescriptor?>

  package init(_ descriptor: consuming OwnedDescriptor) { self.descriptor = Mutex(descriptor) }

  package func take() -> OwnedDescriptor? { descriptor.withLock { $0.take() } }

  /// Another descriptor of the same; nil where it has been taken, or there are no descriptors left.
  package func copy() -> OwnedDescriptor? {
    descriptor.withLock { descriptor in
      guard let number = descriptor?.rawValue else { return nil }
      let copy = fcntl(number, F_DUPFD_CLOEXEC, 0)
      return copy >= 0 ? OwnedDescriptor(owning: copy) : nil
    }
  }

  /// Whether the peer of the socket has closed it, so that nobody is left to be answered.
  package var isHungUp: Bool {
    descriptor.withLock { descriptor in
      guard let socket = descriptor?.rawValue else { return true }
      var state = pollfd(fd: socket, events: 0, revents: 0)
      return poll(&state, 1, 0) > 0 && state.revents & Int16(POLLHUP | POLLERR) != 0
    }
  }

  /// Closes it so that the peer gets an RST.
  package func reset() {
    if let descriptor = take() { linux_reset_on_close(descriptor.rawValue) }
  }
}

/// Something that belongs to one event loop, on its way to another. Sendable because the first must not
/// touch it any more, and the inbox that carries it (`EventLoop.post`) is locked.
struct LoopHandoff<Value>: @unchecked Sendable {
  let value: Value
}
