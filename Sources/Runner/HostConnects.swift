import CLinux
import ControlAPI
import Dispatch
import Fabric
import Glibc
import LinuxSystem
import Logging
import ServiceLog
import Model
import Relay
import Synchronization
import SystemPackage

/// Connects `istbpf connect` with instances of this runner: on a Unix socket beside the control socket, for
/// whoever may open that one.
///
/// The caller gets the connected TCP socket itself, so that nothing stands between the two programs and the daemon
/// may end. The socket is bound to an address of its own, `AddressPlan.host`, so that events tell it from the front
/// door's; nothing else has that address, and nobody can connect to it. Address and port were chosen by bind(2), which
/// locks them (SOCK_BINDADDR_LOCK, SOCK_BINDPORT_LOCK): whoever has the socket cannot make it an instance's.
final class HostConnects: Sendable {
  private let runner: Runner
  private let logger: Logger
  private let path: String
  private let queue = DispatchQueue(label: "istbpf.connect")
  private let work = DispatchQueue(label: "istbpf.connect.work", attributes: .concurrent)
  /// Unsafe only in name: Dispatch lets any thread cancel a source.
  private nonisolated(unsafe) let source: any DispatchSourceRead
  private let pending = Mutex(0)

  /// Connections that may be on their way to an instance at once.
  private static let pendingLimit = 64
  /// How long a caller may take to say all that it wants, and an instance to accept; milliseconds.
  private static let patience: Int32 = 3000

  /// Takes callers from now on. Throws `SystemError`.
  init(runner: Runner, logger: Logger) throws {
    (self.runner, self.logger) = (runner, logger)
    path = runner.configuration.installation.connectSocketPath
    let group = getgrnam("istbpf").map { $0.pointee.gr_gid }
    let listener = try UnixSocket.listening(
      at: path, mode: group == nil ? 0o600 : 0o660, group: group ?? 0
    ).release()
    source = DispatchSource.makeReadSource(fileDescriptor: listener, queue: queue)
    source.setEventHandler { [weak self] in
      while let socket = UnixSocket.accept(on: listener) { self?.accepted(socket) }
    }
    source.setCancelHandler { Glibc.close(listener) }
    source.activate()
  }

  /// Takes no callers any more; connections go on.
  func stop() {
    source.cancel()
    unlink(path)
  }

  private func accepted(_ socket: consuming OwnedDescriptor) {
    let isOne = pending.withLock { pending in
      guard pending < Self.pendingLimit else { return false }
      pending += 1
      return true
    }
    guard isOne else {
      return Self.answer("error istbpfd has too many such calls; try again", socket)
    }
    let handoff = DescriptorHandoff(socket)
    // From now on, not from when there is a thread for it: Dispatch makes few while others block.
    let deadline = ContinuousClock.now + .milliseconds(Int(Self.patience))
    work.async {
      guard let socket = handoff.take() else { return self.settled() }
      self.serve(socket, until: deadline)
    }
  }

  private func settled() { pending.withLock { $0 -= 1 } }

  /// Hears what the caller wants, on a thread of its own.
  private func serve(
    _ socket: consuming OwnedDescriptor, until deadline: ContinuousClock.Instant
  ) {
    guard let request = InstanceConnection.readRequest(from: socket.rawValue, until: deadline)
    else {
      settled()
      return Self.answer("error that is no request of istbpf connect", socket)
    }
    let handoff = DescriptorHandoff(socket)
    Task {
      let target: Result<HostTarget, any Error>
      do {
        target = .success(
          try await runner.hostTarget(
            of: try ServiceName(request.service), in: try DeploymentName(request.deployment),
            port: request.port))
      } catch { target = .failure(error) }
      work.async { self.join(handoff, target) }
    }
  }

  private func join(_ handoff: DescriptorHandoff, _ target: Result<HostTarget, any Error>) {
    defer { settled() }
    guard let caller = handoff.take() else { return }
    do {
      let target = try target.get()
      let connection = try dial(target)
      let instance = connection.instance
      let process = UnixSocket.peer(of: caller.rawValue).map { "\($0)" } ?? "unknown"
      logger.notice(
        "istbpf connect of process \(process) to \(instance.id), port \(target.port)",
        metadata: instance.logFields)
      let line = Array("\(InstanceConnection.accepted)\(instance.id)\n".utf8)
      let socket = connection.release()
      guard
        linux_unix_send_descriptor(caller.rawValue, line, line.count, socket.rawValue) == line.count
      else { return logger.warning("process \(process) has ended before it was connected") }
      // From here on it is the caller's close(2) that ends the connection.
      target.count()
    } catch {
      Self.answer("\(InstanceConnection.refused)\(error)", caller)
    }
  }

  /// A socket that is connected with an instance.
  private struct Connection: ~Copyable {
    let socket: OwnedDescriptor
    let instance: Instance

    consuming func release() -> OwnedDescriptor { socket }
  }

  /// A connection with one of the instances.
  private func dial(_ target: HostTarget) throws -> Connection {
    var last = Errno.connectionRefused
    for instance in target.instances.shuffled() {
      let address = target.plan.instanceAddress(instance.serviceNumber, instance.number)
      let socket = try TransparentSocket.dialing(in: target.fabric, fixedTo: target.plan.host)
      let error = Self.connect(socket, to: address, port: target.port)
      if error == 0 {
        try Self.makeOrdinary(socket)
        return Connection(socket: socket, instance: instance)
      }
      last = Errno(rawValue: error)
    }
    throw RunnerError.nobodyAccepts(target.service, port: target.port, last)
  }

  /// Connects within `patience`; 0 or the errno.
  private static func connect(
    _ socket: borrowing OwnedDescriptor, to address: IPv4Address, port: PortNumber
  ) -> Int32 {
    if linux_connect(socket.rawValue, address.rawValue, port.rawValue) == 0 { return 0 }
    guard errno == EINPROGRESS || errno == EINTR else { return errno }
    var state = pollfd(fd: socket.rawValue, events: Int16(POLLOUT), revents: 0)
    guard poll(&state, 1, patience) > 0 else { return ETIMEDOUT }
    var (error, length) = (Int32(0), socklen_t(MemoryLayout<Int32>.size))
    let asked = getsockopt(socket.rawValue, SOL_SOCKET, SO_ERROR, &error, &length)
    return asked == 0 ? error : errno
  }

  /// Makes a connected socket one that blocks and that close(2) ends in order, and takes its right to addresses of
  /// others away. Throws `SystemError`.
  private static func makeOrdinary(_ socket: borrowing OwnedDescriptor) throws {
    var off: Int32 = 0
    let flags = fcntl(socket.rawValue, F_GETFL)
    guard flags >= 0, fcntl(socket.rawValue, F_SETFL, flags & ~O_NONBLOCK) == 0,
      linux_finish_on_close(socket.rawValue) == 0,
      setsockopt(
        socket.rawValue, Int32(IPPROTO_IP), IP_TRANSPARENT, &off,
        socklen_t(MemoryLayout<Int32>.size)) == 0
    else { throw SystemError(.last, "prepare", "a connection for istbpf connect") }
  }

  private static func say(_ line: String, _ socket: Int32) {
    let text = line.split(whereSeparator: \.isNewline).joined(separator: " ")
    let bytes = Array((text + "\n").utf8)
    _ = send(socket, bytes, bytes.count, Int32(MSG_NOSIGNAL))
  }

  private static func answer(_ line: String, _ socket: consuming OwnedDescriptor) {
    say(line, socket.rawValue)
    _ = consume socket
  }
}
