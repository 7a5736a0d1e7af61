import CLinux
import LinuxSystem
import Tunnel

/// A connection of another runner whose handshake is not over.
final class IncomingTunnel: EventSource {
  private unowned let loop: EventLoop
  private let handshake: TunnelHandshake
  /// The address that it comes from.
  let address: String
  private var deadline: Deadline?

  init?(_ loop: EventLoop, _ socket: consuming OwnedDescriptor, from address: String) {
    let descriptor = socket.rawValue
    linux_tcp_no_delay(descriptor)
    let configuration = loop.shared.configuration
    // There is none where there is no memory.
    guard let identities = loop.shared.identities,
      let handshake = try? TunnelHandshake(
        .server, on: socket, peer: address, identities: identities,
        allowsKernel: configuration.usesKernelTLS)
    else { return nil }
    (self.loop, self.handshake, self.address) = (loop, handshake, address)
    super.init()
    guard loop.watch(self, descriptor) else { return nil }
    deadline = loop.after(configuration.handshakeTimeout.nanoseconds) { [weak self] in
      self?.fail(.ended(.timedOut, peer: address, "its handshake took too long"))
    }
  }

  override func handle(_ events: UInt32) {
    switch handshake.advance() {
    case .waiting: break
    case .failed(let error): fail(error)
    case .done(let channel):
      loop.halfOpen.remove(self)
      loop.cancel(deadline)
      loop.addTunnel(channel, pool: nil, insteadOf: self)
    }
  }

  private func fail(_ error: TunnelError) {
    loop.counters.handshakesFailed.add(1)
    loop.shared.observe(.handshakeFailed(error, incoming: true))
    loop.halfOpen.remove(self)
    close()
  }

  /// Ends it; its owner lets it go, and with that its socket closes.
  func close() {
    loop.cancel(deadline)
    loop.forget(self)
  }
}

/// The incoming handshakes that are under way in one loop, oldest first.
struct HalfOpenHandshakes {
  private var handshakes: [IncomingTunnel] = []
  private var perAddress: [String: Int] = [:]

  /// How many there are.
  var count: Int { handshakes.count }

  /// Adds `handshake`, and returns the one that has to go for it where there are `limit` already, or
  /// a quarter of them from its address: the oldest from that address, or else from one of those that
  /// have the most, so that a flood ends its own.
  mutating func add(_ handshake: IncomingTunnel, limit: Int) -> IncomingTunnel? {
    var evicted: IncomingTunnel?
    if perAddress[handshake.address, default: 0] >= max(1, limit / 4) {
      evicted = handshakes.first { $0.address == handshake.address }
    } else if handshakes.count >= limit {
      let most = perAddress.values.max()
      evicted = handshakes.first { perAddress[$0.address] == most }
    }
    if let evicted { remove(evicted) }
    handshakes.append(handshake)
    perAddress[handshake.address, default: 0] += 1
    return evicted
  }

  mutating func remove(_ handshake: IncomingTunnel) {
    guard let index = handshakes.firstIndex(where: { $0 === handshake }) else { return }
    handshakes.remove(at: index)
    let left = perAddress[handshake.address, default: 1] - 1
    perAddress[handshake.address] = left == 0 ? nil : left
  }

  mutating func takeAll() -> [IncomingTunnel] {
    defer { self = HalfOpenHandshakes() }
    return handshakes
  }
}
