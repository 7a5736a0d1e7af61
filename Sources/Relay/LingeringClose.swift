import CLinux
import Glibc
import LinuxSystem

/// A socket that is told a few last words. It is closed only when the other side has ended too: closed
/// with something unread, it might take the words back.
final class LingeringClose: EventSource {
  private unowned let loop: EventLoop
  private var socket: OwnedDescriptor?
  private var deadline: Deadline?

  /// Sends them on `socket`, which has room for them, and waits for its end, 5 s at most.
  static func begin(_ words: [UInt8], on socket: consuming OwnedDescriptor, in loop: EventLoop) {
    let descriptor = socket.rawValue
    _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK)
    guard linux_send(descriptor, words, UInt64(words.count), 0) == words.count else { return }
    shutdown(descriptor, Int32(SHUT_WR))
    let closing = LingeringClose(socket, in: loop)
    guard loop.watch(closing, descriptor) else { return closing.close() }
    closing.deadline = loop.after(5_000_000_000) { closing.close() }
    closing.handle(0)
  }

  private init(_ socket: consuming OwnedDescriptor, in loop: EventLoop) {
    self.loop = loop
    self.socket = consume socket
    loop.lingeringCloses += 1
  }

  override func handle(_ events: UInt32) {
    guard let descriptor = socket?.rawValue else { return }
    while true {
      let count = linux_receive(descriptor, loop.scratch, 65_536, 0)
      if count < 0, errno == EAGAIN { return }
      if count <= 0 { return close() }
    }
  }

  private func close() {
    if socket != nil { loop.lingeringCloses -= 1 }
    loop.cancel(deadline)
    loop.forget(self)
    socket = nil
  }
}
