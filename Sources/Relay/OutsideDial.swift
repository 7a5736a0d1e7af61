import CLinux
import Glibc
import LinuxSystem
import Model
import Synchronization
import SystemPackage

/// A connection to outside that is being made.
final class OutsideDial {
  private unowned let loop: EventLoop
  private let socket: LocalSocket
  private let isWanted: @Sendable () -> Bool
  private let completion: @Sendable (Result<RelayConnection, Errno>) -> Void
  private var check: Deadline?
  private let until: UInt64
  private var isOver = false

  /// How often is asked whether anybody waits for it, in nanoseconds.
  private static let pause: UInt64 = 1_000_000_000

  /// Begins; `completion` is called once, perhaps before this returns.
  static func begin(
    to address: IPv4Address, port: PortNumber, timeout: Duration, in loop: EventLoop,
    isWanted: @escaping @Sendable () -> Bool,
    completion: @escaping @Sendable (Result<RelayConnection, Errno>) -> Void
  ) {
    guard loop.stopsAt == nil else { return completion(.failure(.hostIsDown)) }
    let descriptor = linux_tcp_socket(AF_INET)
    guard descriptor >= 0 else { return completion(.failure(.last)) }
    let socket = LocalSocket(OwnedDescriptor(owning: descriptor), in: loop)
    let dial = OutsideDial(
      socket, until: loop.now &+ timeout.nanoseconds, in: loop, isWanted, completion)
    loop.outside[ObjectIdentifier(dial)] = dial
    dial.checkLater()
    socket.connect(to: address, port: port) { [weak dial] errno in
      dial?.end(errno == 0 ? nil : Errno(rawValue: errno))
    }
  }

  private init(
    _ socket: LocalSocket, until: UInt64, in loop: EventLoop,
    _ isWanted: @escaping @Sendable () -> Bool,
    _ completion: @escaping @Sendable (Result<RelayConnection, Errno>) -> Void
  ) {
    (self.socket, self.until, self.loop) = (socket, until, loop)
    (self.isWanted, self.completion) = (isWanted, completion)
  }

  private func checkLater() {
    check = loop.after(Self.pause) { [weak self] in
      guard let self, !isOver else { return }
      if loop.now < until, isWanted() { checkLater() } else { end(.timedOut) }
    }
  }

  /// Ends it without a connection, or, where there is no error, with one.
  func end(_ error: Errno?) {
    guard !isOver else { return }
    isOver = true
    loop.cancel(check)
    loop.outside[ObjectIdentifier(self)] = nil
    if let error {
      socket.reset()
      return completion(.failure(error))
    }
    let id = loop.makeID()
    loop.unjoinedOutside[id] = socket
    completion(.success(RelayConnection(id: id, loop: loop)))
  }
}

/// A connection to outside that is made. One that is let go without `Relay.join` is reset.
public final class RelayConnection: Sendable {
  let id: UInt64
  let loop: EventLoop
  private let isTaken = Atomic(false)

  init(id: UInt64, loop: EventLoop) { (self.id, self.loop) = (id, loop) }

  deinit {
    let id = id
    if take() { loop.post { $0.unjoinedOutside.removeValue(forKey: id)?.reset() } }
  }

  /// True the first time.
  func take() -> Bool { !isTaken.exchange(true, ordering: .relaxed) }
}

extension Relay {
  /// Connects to an address outside, from the network namespace in which the relay was started.
  ///
  /// `completion` is called once, on an event loop's thread: with a connection to `join`, or with the errno that the
  /// kernel had; ETIMEDOUT after `timeout`, or where `isWanted`, asked each second on the same thread, says no.
  public func dial(
    _ address: IPv4Address, port: PortNumber, timeout: Duration,
    isWanted: @escaping @Sendable () -> Bool,
    completion: @escaping @Sendable (Result<RelayConnection, Errno>) -> Void
  ) {
    outsideLoop().post { loop in
      OutsideDial.begin(
        to: address, port: port, timeout: timeout, in: loop, isWanted: isWanted,
        completion: completion)
    }
  }

  /// Moves bytes between `local` and `connection` until both directions have ended, for a program of `deployment`.
  /// Takes over `local`, a connected TCP socket; it is reset where the connection is gone already. `holder` is the
  /// instance, as a number of the caller's, by which another process that goes on with it knows it. `ended` is called
  /// once, when both are closed or another process goes on with them, on an event loop's thread.
  public func join(
    _ local: consuming OwnedDescriptor, to connection: RelayConnection,
    of deployment: DeploymentName, holder: UInt64, ended: @escaping @Sendable () -> Void
  ) {
    let handoff = DescriptorHandoff(local)
    guard connection.take() else {
      handoff.reset()
      return ended()
    }
    let id = connection.id
    connection.loop.post { loop in
      guard let far = loop.unjoinedOutside.removeValue(forKey: id) else {
        handoff.reset()
        return ended()
      }
      SocketPair.join(
        handoff, to: far,
        for: SocketPair.Outside(deployment: deployment, holder: holder, ended: ended), in: loop)
    }
  }

  /// The calling thread's own loop, which need not be woken, or, where that has more to do than another, the one that
  /// has the least.
  private func outsideLoop() -> EventLoop {
    let loads = loops.map(\.load)
    let least = loads.min() ?? 0
    if let own = loops.firstIndex(where: \.isCurrent), loads[own] <= least + 1 { return loops[own] }
    return loops[loads.firstIndex(of: least) ?? 0]
  }
}
