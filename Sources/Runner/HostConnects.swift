import ControlAPI
import Dispatch
import Fabric
import Glibc
import LinuxSystem
import Logging
import Model
import Relay
import Synchronization
import SystemPackage

/// Joins `istbpf connect` to instances of this runner: on a Unix socket beside the control socket, for
/// whoever may open that one.
///
/// Such a connection comes from an address of its own, `AddressPlan.host`, so that events tell it from
/// the front door's; nothing else has that address, and nobody can connect to it.
final class HostConnects: Sendable {
  private let runner: Runner
  private let relay: Relay
  private let logger: Logger
  private let path: String
  private let queue = DispatchQueue(label: "istbpf.connect")
  private let work = DispatchQueue(label: "istbpf.connect.work", attributes: .concurrent)
  /// Unsafe only in name: Dispatch lets any thread cancel a source.
  private nonisolated(unsafe) let source: any DispatchSourceRead
  private let pending = Mutex(0)

  /// Connections that may be on their way to an instance at once.
  private static let pendingLimit = 64
  /// How long a caller may take to say what it wants, and an instance to accept; milliseconds.
  private static let patience: Int32 = 3000

  /// Takes callers from now on. Throws `SystemError`.
  init(runner: Runner, relay: Relay, logger: Logger) throws {
    (self.runner, self.relay, self.logger) = (runner, relay, logger)
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
    work.async {
      guard let socket = handoff.take() else { return self.settled() }
      self.serve(socket)
    }
  }

  private func settled() { pending.withLock { $0 -= 1 } }

  /// Hears what the caller wants, on a thread of its own.
  private func serve(_ socket: consuming OwnedDescriptor) {
    var patience = timeval(tv_sec: Int(Self.patience / 1000), tv_usec: 0)
    let size = socklen_t(MemoryLayout<timeval>.size)
    _ = fcntl(socket.rawValue, F_SETFL, fcntl(socket.rawValue, F_GETFL) & ~O_NONBLOCK)
    setsockopt(socket.rawValue, SOL_SOCKET, SO_RCVTIMEO, &patience, size)
    guard let line = InstanceConnection.readLine(from: socket.rawValue),
      let request = InstanceConnection.parse(line)
    else {
      settled()
      return Self.answer("error that is no request of istbpf connect", socket)
    }
    patience = timeval()
    setsockopt(socket.rawValue, SOL_SOCKET, SO_RCVTIMEO, &patience, size)
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
    guard let socket = handoff.take() else { return }
    do {
      let target = try target.get()
      let connection = try dial(target)
      let instance = connection.instance
      let caller = UnixSocket.peer(of: socket.rawValue).map { "\($0)" } ?? "unknown"
      logger.notice("istbpf connect of process \(caller) to \(instance.id), port \(target.port)")
      Self.say("\(InstanceConnection.accepted)\(instance.id)", socket.rawValue)
      target.count()
      relay.pair(
        socket,
        with: DialInstruction(
          socket: connection.release(),
          destination: target.plan.instanceAddress(instance.serviceNumber, instance.number),
          port: target.port),
        timeout: .milliseconds(Int(Self.patience))
      ) { socket, _ in _ = consume socket }
    } catch {
      Self.answer("\(InstanceConnection.refused)\(error)", socket)
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
      let socket = try TransparentSocket.dialing(in: target.fabric, as: target.plan.host)
      let error = Self.connect(socket, to: address, port: target.port)
      if error == 0 { return Connection(socket: socket, instance: instance) }
      last = Errno(rawValue: error)
    }
    throw RunnerError.nobodyAccepts(target.service, port: target.port, last)
  }

  /// Connects within `patience`; 0 or the errno.
  private static func connect(
    _ socket: borrowing OwnedDescriptor, to address: IPv4Address, port: PortNumber
  ) -> Int32 {
    var name = sockaddr_in()
    name.sin_family = sa_family_t(AF_INET)
    name.sin_addr.s_addr = address.networkOrder
    name.sin_port = port.rawValue.bigEndian
    let result = withUnsafePointer(to: &name) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        Glibc.connect(socket.rawValue, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    if result == 0 { return 0 }
    guard errno == EINPROGRESS || errno == EINTR else { return errno }
    var state = pollfd(fd: socket.rawValue, events: Int16(POLLOUT), revents: 0)
    guard poll(&state, 1, patience) > 0 else { return ETIMEDOUT }
    var (error, length) = (Int32(0), socklen_t(MemoryLayout<Int32>.size))
    let asked = getsockopt(socket.rawValue, SOL_SOCKET, SO_ERROR, &error, &length)
    return asked == 0 ? error : errno
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
