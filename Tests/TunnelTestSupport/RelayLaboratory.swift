import CLinux
import Glibc
import LinuxSystem
import Model
import Relay
import Synchronization
import SystemPackage
import Tunnel

/// Two runners in this process, `a` and `b`; `b` accepts tunnels on loopback, and dials services there.
public final class RelayLaboratory: Sendable {
  /// The relay that opens streams.
  public let a: Relay
  /// The relay that accepts them.
  public let b: Relay
  /// The identities of each.
  public let identities: (a: TunnelIdentities, b: TunnelIdentities)
  /// Who issued them.
  public let authority: TestAuthority
  /// `b` for `a`.
  public let peer: TunnelPeer

  /// Makes both. `wire` may put another port in front of the one that `b` listens on; `namespaces`
  /// are where they have their sockets, `b` at `host`.
  public init(
    a: RelayConfiguration = .init(), b: RelayConfiguration = .init(),
    authorize: StreamAuthorizer? = nil, wire: ((UInt16) throws -> UInt16)? = nil,
    namespaces: (a: NetworkNamespace, b: NetworkNamespace)? = nil, host: String = "127.0.0.1"
  ) throws {
    func within<Value>(_ namespace: NetworkNamespace?, _ make: () throws -> Value) throws -> Value {
      try namespace?.perform(make) ?? make()
    }
    authority = try TestAuthority()
    let identities = (
      a: TunnelIdentities(try authority.identity("a", serial: 100)),
      b: TunnelIdentities(try authority.identity("b", serial: 101))
    )
    self.identities = identities
    namespaceOfA = namespaces?.a
    let (listener, port) = try within(namespaces?.b) { try TestSocket.listener(host) }
    guard let runner = RunnerIdentifier(cluster: "test", name: "b"),
      let address = SocketAddress(host, port: try wire?(port) ?? port)
    else { throw SystemError(.invalidArgument, "name", "a runner") }
    peer = TunnelPeer(runner: runner, address: address)
    self.a = try within(namespaces?.a) {
      try Relay(
        configuration: a, identities: identities.a,
        authorize: { _, reply in reply(.refuse(EPERM)) })
    }
    let observed = Observed()
    self.b = try within(namespaces?.b) {
      try Relay(
        configuration: b, identities: identities.b, authorize: authorize ?? Self.dial,
        observe: { observed.add($0) })
    }
    self.observed = observed
    self.b.listen(on: OwnedDescriptor(owning: listener.duplicate()))
  }

  private let observed: Observed
  private let namespaceOfA: NetworkNamespace?

  /// What `b` told.
  public var observedByB: [RelayEvent] { observed.events }

  private final class Observed: Sendable {
    private let log = Mutex<[RelayEvent]>([])
    func add(_ event: RelayEvent) { log.withLock { $0.append(event) } }
    var events: [RelayEvent] { log.withLock { $0 } }
  }

  /// Dials what is asked for.
  public static let dial: StreamAuthorizer = { stream, reply in
    let descriptor = linux_tcp_socket(AF_INET)
    guard descriptor >= 0 else { return reply(.refuse(EMFILE)) }
    reply(
      .dial(
        DialInstruction(
          socket: OwnedDescriptor(owning: descriptor), destination: stream.request.destination,
          port: stream.request.port)))
  }

  /// A request for `port` of loopback.
  public static func request(_ port: UInt16, deployment: String = "shop") throws -> StreamRequest {
    StreamRequest(
      deployment: try DeploymentName(deployment), source: IPv4Address(0x7f00_0001),
      destination: IPv4Address(0x7f00_0001), port: try PortNumber(Int(port)))
  }

  /// Opens a stream to `port`, and waits for the outcome.
  public func open(
    _ port: UInt16, to peer: TunnelPeer? = nil, timeout: Duration = .seconds(10),
    answerTimeout: Duration? = nil, _ change: (inout StreamRequest) -> Void = { _ in }
  ) throws -> Result<RelayStream, StreamRefusal> {
    let outcome = Outcome()
    var request = try Self.request(port)
    change(&request)
    a.open(request, to: peer ?? self.peer, timeout: timeout, answerTimeout: answerTimeout) {
      outcome.set($0)
    }
    return outcome.wait()
  }

  /// A connection from a program on `a` to `port`: the program's socket. `change` is made to what `b` is asked.
  public func connect(
    _ port: UInt16, _ change: (inout StreamRequest) -> Void = { _ in }
  ) throws -> TestSocket {
    let stream = try open(port, change).get()
    let (program, relay) =
      try namespaceOfA?.perform { try TestSocket.pair() } ?? TestSocket.pair()
    a.join(OwnedDescriptor(owning: relay), to: stream)
    program.limit(60)
    return program
  }

  /// A tunnel to `b` by hand, in user space.
  package func tunnel(_ identities: TunnelIdentities) throws -> TunnelChannel {
    let socket = try TestSocket.connect(peer.address.port).duplicate()
    _ = fcntl(socket, F_SETFL, O_NONBLOCK)
    let handshake = try TunnelHandshake(
      .client(expected: peer.runner), on: OwnedDescriptor(owning: socket), peer: "b",
      identities: identities, allowsKernel: false)
    while true {
      switch handshake.advance() {
      case .waiting:
        var poll = pollfd(fd: socket, events: Int16(POLLIN), revents: 0)
        guard Glibc.poll(&poll, 1, 10_000) == 1 else {
          throw StreamRefusal(errno: ETIMEDOUT, cause: "no handshake")
        }
      case .done(let channel): return channel
      case .failed(let error): throw error
      }
    }
  }

  /// Ends both.
  public func stop() {
    a.shutdown(grace: .zero)
    b.shutdown(grace: .zero)
  }
}

/// The outcome of an opening, for a thread that waits.
public final class Outcome: @unchecked Sendable {
  // Safe because the semaphore orders what is written and read.
  private var semaphore = sem_t()
  private var result: Result<RelayStream, StreamRefusal>?

  /// An outcome that is to come.
  public init() { sem_init(&semaphore, 0, 0) }

  /// Tells it, once.
  public func set(_ result: Result<RelayStream, StreamRefusal>) {
    self.result = result
    sem_post(&semaphore)
  }

  /// Waits for it.
  public func wait() -> Result<RelayStream, StreamRefusal> {
    while sem_wait(&semaphore) != 0 {}
    return result ?? .failure(StreamRefusal(errno: EIO, cause: "no outcome"))
  }
}
