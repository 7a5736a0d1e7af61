import CLinux
import Glibc
import LinuxSystem
import Synchronization

/// A port in front of another, and what lies between: connections may be refused, and be cut.
public final class Wire: Sendable {
  /// What becomes of a connection.
  public enum Fate: Sendable {
    /// It reaches the port behind, after so many microseconds.
    case carried(after: UInt32 = 0)
    /// It is answered after 0.1 s with these bytes, which no TLS server says.
    case answered([UInt8])
    /// It is reset.
    case reset
    /// Nothing is said, and it is ended after so many microseconds.
    case ended(after: UInt32)
    /// It reaches the port behind after so many microseconds, which hears the first words only; it is ended when more
    /// are said.
    case unheard(after: UInt32)
  }

  /// Where it is reached.
  public let port: UInt16
  private let listener: TestSocket
  private let ends = Mutex<[TestSocket]>([])

  /// A wire to `target` on loopback, on which `fate` says what becomes of each connection, the first
  /// being 0.
  public init(to target: UInt16, fate: @escaping @Sendable (Int) -> Fate = { _ in .carried() })
    throws
  {
    (listener, port) = try TestSocket.listener()
    Self.thread { [self] in
      var number = 0
      while let near = try? listener.accept() {
        let fate = fate(number)
        number += 1
        switch fate {
        case .reset: near.resetOnClose()
        case .ended(let delay):
          Self.thread {
            usleep(delay)
            near.finish()
          }
        case .unheard(let delay):
          Self.thread { [self] in
            usleep(delay)
            guard let far = try? TestSocket.connect(target) else { return }
            keep(far)
            Self.thread { Self.pump(far, near) }
            guard let first = try? near.receive(), (try? far.send(first)) != nil else { return }
            _ = try? near.receive()
            near.finish()
          }
        case .answered(let bytes):
          keep(near)
          Self.thread {
            usleep(100_000)
            try? near.send(bytes)
          }
        case .carried(let delay):
          Self.thread { [self] in
            usleep(delay)
            guard let far = try? TestSocket.connect(target) else { return }
            keep(near)
            keep(far)
            Self.thread { Self.pump(near, far) }
            Self.pump(far, near)
          }
        }
      }
    }
  }

  /// Cuts all connections, in order (FIN) or with RST, and takes no more.
  public func cut(reset: Bool) {
    shutdown(listener.descriptor, Int32(SHUT_RDWR))
    ends.withLock { ends in
      for end in ends {
        if reset {
          linux_disconnect(end.descriptor)
        } else {
          shutdown(end.descriptor, Int32(SHUT_RDWR))
        }
      }
      ends = []
    }
  }

  private func keep(_ end: TestSocket) { ends.withLock { $0.append(end) } }

  private static func pump(_ from: TestSocket, _ to: TestSocket) {
    while let bytes = try? from.receive(), !bytes.isEmpty {
      guard (try? to.send(bytes)) != nil else { return }
    }
    to.finish()
  }

  private static func thread(_ body: @escaping @Sendable () -> Void) {
    var thread = pthread_t()
    let work = Work(body)
    pthread_create(
      &thread, nil,
      { argument in
        guard let argument else { return nil }
        Unmanaged<Work>.fromOpaque(argument).takeRetainedValue().body()
        return nil
      }, Unmanaged.passRetained(work).toOpaque())
    pthread_detach(thread)
  }

  private final class Work: Sendable {
    let body: @Sendable () -> Void
    init(_ body: @escaping @Sendable () -> Void) { self.body = body }
  }
}

/// connect(2) to AF_UNSPEC: the connection is aborted with RST, though other threads use the socket.
private func linux_disconnect(_ descriptor: Int32) {
  var name = sockaddr()
  name.sa_family = sa_family_t(AF_UNSPEC)
  connect(descriptor, &name, socklen_t(MemoryLayout<sockaddr>.size))
}
