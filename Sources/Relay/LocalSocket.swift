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
  /// Whether an urgent byte has come and may be unread still: a read ends before it then.
  var hasUrgent = true
  /// The errno that broke the connection off, nil while nothing has. What came before may be unread still, and
  /// a read that returns 0 is no FIN then.
  private(set) var failure: Int32?
  /// Whether the program's FIN has come, and no RST at the same time.
  private var hasFIN = false
  /// Whether this side's FIN has been sent, by this process or the one before.
  var hasShutDown = false
  private var isCutOff = false
  /// What the kernel keeps of what the program sends.
  private(set) var unread = UnreadLimit()
  private var unsent: Int32 = 0

  init(_ socket: consuming OwnedDescriptor, in loop: EventLoop) {
    self.loop = loop
    descriptor = socket.rawValue
    self.socket = consume socket
    super.init()
    linux_tcp_no_delay(descriptor)
    // Whatever ends this process, the program must not take half of a stream for the whole.
    linux_reset_on_close(descriptor)
    linux_urgent_inline(descriptor)
  }

  /// Begins to be watched; false where the kernel has no memory for it.
  func watch() -> Bool {
    let flags = fcntl(descriptor, F_GETFL)
    if flags & O_NONBLOCK == 0 { _ = fcntl(descriptor, F_SETFL, flags | O_NONBLOCK) }
    return loop.watch(self, descriptor)
  }

  /// Connects, and tells the outcome once: 0 or an errno, which may be before this returns. 0 as well where the
  /// connection was reset since, which `failure` tells.
  func connect(to address: IPv4Address, port: PortNumber, _ done: @escaping (Int32) -> Void) {
    name.sin_family = sa_family_t(AF_INET)
    name.sin_addr.s_addr = address.networkOrder
    name.sin_port = port.rawValue.bigEndian
    connecting = done
    guard watch() else { return connected(ENOMEM) }
    // It may be connected already.
    checkConnection()
    tryConnecting(again: Self.retries)
  }

  private func tryConnecting(again: Int) {
    guard connecting != nil else { return }
    let result = withSocketAddress(&name) { Glibc.connect(descriptor, $0, $1) }
    if result == 0 { return connected(0) }
    switch Errno.last {
    // Within one machine the answer is there already.
    case .nowInProgress, .interrupted: checkConnection()
    // A connection from this port to that one is there still. As a rule the program that had it has closed it, and
    // the other runner's word of that is on its way, on another tunnel.
    case .addressNotAvailable where again > 0:
      let pause: UInt64 = 1_000_000 << UInt64(Self.retries - again)
      _ = loop.after(pause) { [weak self] in self?.tryConnecting(again: again - 1) }
    case let error: connected(error.rawValue)
    }
  }

  /// How often a connect is tried again, after 1, 2, 4 ms and so on.
  private static let retries = 5

  private func checkConnection() {
    var broken: Int32 = 0
    let outcome = linux_connect_outcome(descriptor, &broken)
    if outcome == EINPROGRESS { return }
    if broken != 0 { fail(broken) }
    connected(outcome)
  }

  private func connected(_ errno: Int32) {
    guard let done = connecting.take() else { return }
    done(errno)
  }

  override func handle(_ events: UInt32) {
    if events & ~linux_epoll_out != 0 { isReadable = true }
    if events & ~(linux_epoll_in | linux_epoll_read_hangup) != 0 { isWritable = true }
    if events & (linux_epoll_read_hangup | linux_epoll_hangup | linux_epoll_error) != 0 {
      hasEnd = true
    }
    let isBroken = events & (linux_epoll_hangup | linux_epoll_error) != 0
    if events & linux_epoll_read_hangup != 0, !isBroken { hasFIN = true }
    if events & linux_epoll_urgent != 0 { hasUrgent = true }
    if connecting != nil { return checkConnection() }
    if events & linux_epoll_error != 0 { fail(linux_socket_error(descriptor)) }
    owner?.run()
  }

  /// Takes note of an errno, which the kernel tells once, by whichever call comes first.
  func fail(_ errno: Int32) {
    guard errno > 0, failure == nil else { return }
    failure = errno
    // What was there before it is still to be read, and no other event will tell.
    (isReadable, hasEnd) = (true, true)
  }

  /// The same of one with which splice(2) to it failed. That says nothing of a reset that comes while it moves bytes, and
  /// takes its errno: then the next one fails with EPIPE, as it does after a FIN and a reset.
  func spliceFailed(_ errno: Int32) { fail(errno == EPIPE && !hasFIN ? ECONNRESET : errno) }

  /// Takes note of a reset where a read of 0 is none of a FIN, since splice(2) has taken the errno.
  func checkEnd() {
    guard failure == nil, !hasShutDown, linux_tcp_is_closed(descriptor) != 0 else { return }
    // Of a FIN and a reset behind it the kernel tells: EPIPE.
    let errno = linux_socket_error(descriptor)
    fail(errno > 0 ? errno : hasFIN ? EPIPE : ECONNRESET)
  }

  /// Sends this side's FIN.
  func shutDownSending() {
    hasShutDown = true
    shutdown(descriptor, Int32(SHUT_WR))
  }

  func raiseUnread(to size: Int32) { unread.raise(to: size, on: descriptor) }

  func cutUnread(to size: Int32) { unread.cut(to: size, on: descriptor) }

  /// Takes up to half of `window` beyond what the program has room for.
  func limitUnsent(_ window: Int32) {
    if unsent != window { BufferLimits.limitUnsent(descriptor, window) }
    unsent = window
  }

  /// Whether what the program sends gets here, or is lost as on a wire that is cut.
  func setReachable(_ isReachable: Bool) {
    guard isCutOff == isReachable, descriptor >= 0 else { return }
    isCutOff = !isReachable
    _ = isCutOff ? linux_tcp_drop_incoming(descriptor) : linux_tcp_take_incoming(descriptor)
  }

  private func close() {
    guard descriptor >= 0 else { return }
    connecting = nil
    loop.forget(self)
    socket = nil
    descriptor = -1
    owner = nil
  }

  /// Another process goes on with it, and has a descriptor of its own.
  func letGo() {
    guard descriptor >= 0 else { return }
    loop.forget(self, living: descriptor)
    socket = nil
    descriptor = -1
    owner = nil
  }

  /// Closes it so that the program gets an RST.
  func reset() { close() }

  /// Closes it with FIN, behind what the program has not been sent yet.
  func finish() {
    setReachable(true)
    if descriptor >= 0 { linux_finish_on_close(descriptor) }
    close()
  }

  /// The same, as soon as the loop has nothing else to do.
  func finishLater() {
    guard descriptor >= 0 else { return }
    setReachable(true)
    linux_finish_on_close(descriptor)
    if let socket = socket.take() { loop.closeLater(socket) }
    close()
  }
}

extension LocalSocket: UnreadSocket {}
