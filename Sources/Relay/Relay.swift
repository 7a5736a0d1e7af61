import CLinux
import Dispatch
import Glibc
import LinuxSystem
import Model
import Synchronization
import SystemPackage
import Tunnel

/// What all loops of a relay share, none of which changes.
struct RelayShared: Sendable {
  let configuration: RelayConfiguration
  /// Nil where there are no tunnels: on a runner that is alone.
  let identities: TunnelIdentities?
  let authorize: StreamAuthorizer
  let observe: @Sendable (RelayEvent) -> Void
  let budget: BufferBudget
  let idleTunnels = IdleTunnelIndex()
  let succession = Succession()
}

/// How a relay stands to those before and after it.
final class Succession: Sendable {
  /// In how many hand-overs it takes part.
  let underWay = Atomic(0)

  /// Until when one may begin in which this one takes over; nil where none may.
  let expected = Mutex<ContinuousClock.Instant?>(nil)

  /// Whether a stream that it does not know may be the other relay's.
  var mayBeElsewhere: Bool {
    underWay.load(ordering: .relaxed) > 0 || expected.withLock { $0.map { .now < $0 } ?? false }
  }

  /// Whether it takes over nothing more, since it ends.
  let isEnding = Atomic(false)
}

/// Carries connections between this runner's sockets and other runners, on threads of its own.
///
/// In this process a connection holds at most about 420 KiB: in user space a sealed batch (144 KiB),
/// records that are read (144 KiB) and an opened batch (128 KiB); with kernel TLS two pipes of 128 KiB,
/// in the kernel. It holds nothing of it while no byte waits. What the kernel's socket buffers hold
/// besides: `BufferLimits`.
public final class Relay: Sendable {
  let loops: [EventLoop]
  let shared: RelayShared
  private let next = Atomic(0)
  private let threads: Mutex<[pthread_t]>

  /// Starts the event loops. Their sockets to other runners are in the network namespace of the
  /// calling thread, which the new threads inherit.
  ///
  /// Throws `SystemError` where descriptors or threads are missing.
  public init(
    configuration: RelayConfiguration = RelayConfiguration(), identities: TunnelIdentities?,
    authorize: @escaping StreamAuthorizer,
    observe: @escaping @Sendable (RelayEvent) -> Void = { _ in }
  ) throws {
    let shared = RelayShared(
      configuration: configuration, identities: identities, authorize: authorize, observe: observe,
      budget: BufferBudget(total: configuration.bufferBudget))
    let loops = try (0..<max(1, min(configuration.loops, 1024))).map {
      try EventLoop(index: $0, shared: shared)
    }
    for loop in loops { loop.siblings = loops }
    (self.loops, self.shared) = (loops, shared)
    var started: [pthread_t] = []
    do {
      for loop in loops { started.append(try loop.start()) }
    } catch {
      for loop in loops { loop.post { $0.stop(grace: 0) } }
      for thread in started { pthread_join(thread, nil) }
      for loop in loops { loop.siblings = [] }
      throw error
    }
    threads = Mutex(started)
  }

  /// A relay that has no tunnels, only pairs: see `pair`. Throws as `init`.
  public static func withoutTunnels() throws -> Relay {
    try Relay(identities: nil, authorize: { _, reply in reply(.refuse(EHOSTUNREACH)) })
  }

  deinit { shutdown(grace: .zero) }

  /// Whether it has no stream and no pair, and is asked for none.
  public var isIdle: Bool { loops.allSatisfy { $0.load == 0 } }

  /// Accepts tunnels on `listener`, which is taken over: a TCP socket that listens, non-blocking.
  public func listen(on listener: consuming OwnedDescriptor) {
    let handoff = DescriptorHandoff(listener)
    loops[0].post { loop in
      if let socket = handoff.take() { loop.listen(on: socket) }
    }
  }

  /// Returns when each loop has done what it was asked for before. Not to be called on an event loop's thread.
  public func settle() {
    let done = DispatchSemaphore(value: 0)
    for loop in loops { loop.post { _ in done.signal() } }
    // Loops that have ended do nothing more.
    for _ in loops { _ = done.wait(timeout: .now() + 5) }
  }

  /// Accepts no tunnels any more, until `listen`: those that come wait for whoever listens on the socket next.
  public func stopListening() {
    loops[0].post { loop in
      for listener in loop.listeners { listener.close() }
      loop.listeners = []
    }
  }

  /// Asks `peer` for a connection: on a tunnel that is ready, else on a new one.
  ///
  /// `completion` is called once, on an event loop's thread: with an accepted stream to `join`, or with the
  /// errno that connect() shall return: what the other runner answered, ETIMEDOUT, or EHOSTUNREACH where there
  /// is no tunnel to be had. The runner has `timeout` for a tunnel, as long again to acknowledge what it is
  /// asked, and `answerTimeout`, or without it `timeout`, for its service to accept. `isWanted` is asked after
  /// each `timeout` of that, on the same thread; where it says no, the opening ends with ETIMEDOUT.
  public func open(
    _ request: StreamRequest, to peer: TunnelPeer, timeout: Duration = .seconds(10),
    answerTimeout: Duration? = nil, isWanted: @escaping @Sendable () -> Bool = { true },
    completion: @escaping @Sendable (Result<RelayStream, StreamRefusal>) -> Void
  ) {
    let patience = PendingOpen.Patience(
      contact: timeout.nanoseconds, answer: (answerTimeout ?? timeout).nanoseconds,
      isWanted: isWanted)
    // From a loop's own thread, that loop where it can be: no thread has to be woken then.
    let turn =
      loops.firstIndex(where: \.isCurrent)
      ?? next.wrappingAdd(1, ordering: .relaxed).oldValue & 0xffff
    let loop = chooseLoop(for: peer, turn: turn)
    loop.asked.wrappingAdd(1, ordering: .relaxed)
    loop.post { loop in
      loop.open(PendingOpen(.open(request, completion), to: peer, patience: patience))
    }
  }

  private func nextLoop() -> EventLoop {
    let turn = next.wrappingAdd(1, ordering: .relaxed).oldValue
    return loops[(turn & Int.max) % loops.count]
  }

  /// Moves bytes between `local` and `stream` until both directions have ended. Takes over `local`, a
  /// connected TCP socket, which is closed then; it is reset where the stream is gone already.
  public func join(_ local: consuming OwnedDescriptor, to stream: RelayStream) {
    let handoff = DescriptorHandoff(local)
    guard stream.take() else { return handoff.reset() }
    let id = stream.id
    stream.loop.post { loop in loop.join(handoff, to: id) }
  }

  /// Has `handler` called on an event loop's thread when `descriptor` has become readable, until the
  /// result is let go, after which the descriptor is to be closed. For what leads to `open` and `join`:
  /// no other thread has to be woken in between. The handler must not block, and has to read until
  /// nothing is left.
  ///
  /// `setPolled`, called on the same thread, says whether the loop is busy and `handler` is called again
  /// and again, so that the descriptor need not tell; behind its false `handler` is called once more.
  public func watch(
    _ descriptor: Int32, setPolled: (@Sendable (Bool) -> Void)? = nil,
    _ handler: @escaping @Sendable () -> Void
  ) -> WatchedDescriptor {
    WatchedDescriptor(descriptor, loops[0], setPolled: setPolled, handler)
  }

  /// Connects as `instruction` says, and moves bytes between that socket and `local` until both
  /// directions have ended: a connection within this runner, for which there needs no tunnel.
  ///
  /// Takes over `local`, a connected stream socket. Where connecting fails, or takes longer than
  /// `timeout`, `failed` gets it back with the errno, on an event loop's thread.
  public func pair(
    _ local: consuming OwnedDescriptor, with instruction: DialInstruction, timeout: Duration,
    failed: @escaping @Sendable (consuming OwnedDescriptor, Int32) -> Void
  ) {
    let handoff = DescriptorHandoff(local)
    nextLoop().post { loop in
      SocketPair.make(handoff, with: instruction, timeout: timeout, in: loop, failed: failed)
    }
  }

  /// Sends `lastWords` on `local`, then the end, and closes it when the other side has read them.
  public func close(_ local: consuming OwnedDescriptor, saying lastWords: [UInt8]) {
    let handoff = DescriptorHandoff(local)
    nextLoop().post { loop in
      if let socket = handoff.take() { LingeringClose.begin(lastWords, on: socket, in: loop) }
    }
  }

  /// Ends all tunnels whose certificate is on the deny list now, with the streams on them.
  public func enforceDenyList() {
    guard let denied = shared.identities?.denied else { return }
    killTunnels { denied.contains($0.serial) }
  }

  /// Ends all tunnels with `runner`, and the streams on them: their programs get an RST.
  public func killTunnels(with runner: RunnerIdentifier) { killTunnels { $0.runner == runner } }

  private func killTunnels(where isMeant: @escaping @Sendable (PeerCertificate) -> Bool) {
    for loop in loops { loop.post { $0.killTunnels(where: isMeant) } }
  }

  /// The counters of all loops.
  public var counters: RelayCounters {
    var sum = RelayCounters()
    for loop in loops { loop.counters.add(to: &sum) }
    return sum
  }

  /// Accepts and opens no more, waits up to `grace` for the streams to end, resets those that are
  /// left, and ends the threads. Blocks until then; not to be called on an event loop's thread.
  public func shutdown(grace: Duration) {
    let threads = threads.withLock { threads in
      defer { threads = [] }
      return threads
    }
    guard !threads.isEmpty else { return }
    shared.succession.isEnding.store(true, ordering: .relaxed)
    let nanoseconds = grace.nanoseconds
    for loop in loops { loop.post { $0.stop(grace: nanoseconds) } }
    for thread in threads { pthread_join(thread, nil) }
    for loop in loops { loop.siblings = [] }
  }
}

/// A stream that the other runner has accepted. One that is let go without `Relay.join` is reset.
public final class RelayStream: Sendable {
  let id: UInt64
  let loop: EventLoop
  private let isTaken = Atomic(false)

  init(id: UInt64, loop: EventLoop) { (self.id, self.loop) = (id, loop) }

  deinit {
    let id = id
    if take() { loop.post { $0.abandon(id) } }
  }

  /// True the first time.
  func take() -> Bool { !isTaken.exchange(true, ordering: .relaxed) }
}

/// Why a stream was not opened.
public struct StreamRefusal: Error, Hashable, Sendable, CustomStringConvertible {
  /// What connect() shall fail with.
  public let errno: Int32
  /// The cause in words.
  public let cause: String
  /// Whether the other runner was there: it said so, or acknowledged what it was asked until nobody waited for its
  /// answer any more.
  public let isReached: Bool
  /// Whether nothing at all came from the other runner: it may be there, and the network be cut.
  public let isSilence: Bool

  /// A refusal from its parts.
  public init(errno: Int32, cause: String, isReached: Bool = false, isSilence: Bool = false) {
    (self.errno, self.cause) = (errno, cause)
    (self.isReached, self.isSilence) = (isReached, isSilence)
  }

  /// The errno and its cause.
  public var description: String { "\(Errno(rawValue: errno)): \(cause)" }
}
