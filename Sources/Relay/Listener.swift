import CLinux
import Glibc
import LinuxSystem
import SystemPackage

/// A socket on which other runners make tunnels. Its connections are dealt out to all loops in turn.
final class Listener: EventSource {
  private unowned let loop: EventLoop
  private var socket: OwnedDescriptor?
  private var turn = 0
  private var retry: Deadline?
  /// Whether it goes on by itself in the loop's next turn.
  private var goesOn = false

  /// How many are accepted before the loop's streams have their turn: a flood of connections could
  /// otherwise hold them up for as long as it lasts.
  private static let atOnce = 16

  init?(_ loop: EventLoop, _ socket: consuming OwnedDescriptor) {
    self.loop = loop
    let descriptor = socket.rawValue
    self.socket = consume socket
    super.init()
    // Its connections inherit it.
    TunnelCongestion.begin(descriptor)
    guard fcntl(descriptor, F_SETFL, O_NONBLOCK) == 0, loop.watch(self, descriptor) else {
      return nil
    }
  }

  func close() {
    loop.cancel(retry)
    // Others have copies of it, by which it would be watched on.
    loop.forget(self, living: socket?.rawValue)
    socket = nil
  }

  override func handle(_ events: UInt32) {
    guard let listener = socket?.rawValue else { return }
    for _ in 0..<Self.atOnce {
      var address = sockaddr_storage()
      var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
      let descriptor = linux_accept(listener, &address, &length)
      if descriptor >= 0 {
        deal(OwnedDescriptor(owning: descriptor), from: SocketAddress.text(of: address))
        continue
      }
      switch Errno.last {
      case .resourceTemporarilyUnavailable: return
      case .tooManyOpenFiles, .tooManyOpenFilesInSystem, .noMemory, .noBufferSpace:
        // No event would tell that there is room again.
        let code = Errno.last.rawValue
        loop.shared.observe(.acceptFailed(code))
        loop.cancel(retry)
        retry = loop.after(100_000_000) { [weak self] in self?.handle(0) }
        return
      // Errors of the connection, which is gone (accept(2)).
      default: continue
      }
    }
    // No event would tell of those that are left.
    guard !goesOn else { return }
    goesOn = true
    loop.later { [weak self] _ in
      self?.goesOn = false
      self?.handle(0)
    }
  }

  private func deal(_ descriptor: consuming OwnedDescriptor, from address: String) {
    let target = loop.siblings[turn % loop.siblings.count]
    turn &+= 1
    let handoff = DescriptorHandoff(descriptor)
    target.post { loop in
      if let socket = handoff.take() { loop.accept(socket, from: address) }
    }
  }
}
