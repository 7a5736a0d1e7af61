import CLinux
import Glibc
import LinuxSystem
import Model
import SystemPackage

/// What a connection's sockets tell that they may be read or written.
protocol SocketOwner: AnyObject {
  /// Moves what can be moved now.
  func run()
}

/// The socket of a connection on this runner: one that a program of its made, or one to a service.
final class LocalSocket: EventSource {
  private unowned let loop: EventLoop
  private var socket: OwnedDescriptor?
  private var connecting: ((Int32) -> Void)?
  private var name = sockaddr_in()
  /// The descriptor, or -1 when it is closed.
  private(set) var descriptor: Int32
  /// The stream that it is joined to, or the pair that it is in.
  weak var owner: (any SocketOwner)?
  /// Whether it may have bytes to read, or an end or error to tell.
  var isReadable = true
  /// Whether it may take bytes.
  var isWritable = true
  /// Whether the program has sent its FIN, or an RST: a read that is short is no sign then that
  /// nothing more can be read.
  private(set) var hasEnd = false
  /// Whether the socket is broken.
  private(set) var isBroken = false

  init(_ socket: consuming OwnedDescriptor, in loop: EventLoop) {
    self.loop = loop
    descriptor = socket.rawValue
    self.socket = consume socket
    super.init()
    linux_tcp_no_delay(descriptor)
  }

  /// Begins to be watched; false where the kernel has no memory for it.
  func watch() -> Bool {
    let flags = fcntl(descriptor, F_GETFL)
    if flags & O_NONBLOCK == 0 { _ = fcntl(descriptor, F_SETFL, flags | O_NONBLOCK) }
    return loop.watch(self, descriptor)
  }

  /// Connects, and tells the outcome once: 0 or an errno, which may be before this returns.
  func connect(to address: IPv4Address, port: PortNumber, _ done: @escaping (Int32) -> Void) {
    name.sin_family = sa_family_t(AF_INET)
    name.sin_addr.s_addr = address.networkOrder
    name.sin_port = port.rawValue.bigEndian
    connecting = done
    guard watch() else { return connected(ENOMEM) }
    proceed()
    // Within one machine the answer is there already, and a second call tells it.
    if connecting != nil { proceed() }
  }

  private func proceed() {
    let result = withSocketAddress(&name) { Glibc.connect(descriptor, $0, $1) }
    let error = Errno.last
    if result == 0 || error == .socketIsConnected { return connected(0) }
    switch error {
    case .nowInProgress, .alreadyInProcess, .interrupted: return
    default: connected(error.rawValue)
    }
  }

  private func connected(_ errno: Int32) {
    guard let done = connecting.take() else { return }
    done(errno)
  }

  override func handle(_ events: UInt32) {
    if connecting != nil { return proceed() }
    if events & ~linux_epoll_out != 0 { isReadable = true }
    if events & ~(linux_epoll_in | linux_epoll_read_hangup) != 0 { isWritable = true }
    if events & (linux_epoll_read_hangup | linux_epoll_hangup | linux_epoll_error) != 0 {
      hasEnd = true
    }
    if events & linux_epoll_error != 0 { isBroken = true }
    owner?.run()
  }

  /// Closes it, with FIN where nothing is unread.
  func close() {
    guard descriptor >= 0 else { return }
    connecting = nil
    loop.forget(self)
    socket = nil
    descriptor = -1
    owner = nil
  }

  /// The same, as soon as the loop has nothing else to do.
  func closeLater() {
    guard descriptor >= 0 else { return }
    if let socket = socket.take() { loop.closeLater(socket) }
    close()
  }

  /// Closes it so that the program gets an RST.
  func reset() {
    if descriptor >= 0 { linux_reset_on_close(descriptor) }
    close()
  }
}
