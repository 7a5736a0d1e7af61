import CLinux
import Glibc
import LinuxSystem
import Model
import Relay
import SystemPackage
import Tunnel
import TunnelTestSupport

/// Bytes inside a tunnel, sent to a real relay: what a runner that has a certificate can do to
/// another. An odd first byte has them follow an accepted stream's preface.
extension FuzzTarget {
  static let tunnel = FuzzTarget("tunnel", tries: 300, seeds: tunnelSeeds) { bytes in
    guard let first = bytes.first else { return }
    do {
      let channel = try relay.tunnel()
      if first & 1 == 1, let open = prefaces.first { _ = channel.append(open) }
      _ = channel.append(Array(bytes.dropFirst().prefix(16_000)))
      guard channel.flush() == .done else { return }
      channel.close()
      shutdown(channel.descriptor, Int32(SHUT_WR))
      // The relay has taken all of it when it closes too.
      var rest = [UInt8](repeating: 0, count: 4096)
      while recv(channel.descriptor, &rest, rest.count, 0) != 0 {
        guard Errno.last == .resourceTemporarilyUnavailable else { continue }
        var poll = pollfd(fd: channel.descriptor, events: Int16(POLLIN), revents: 0)
        precondition(Glibc.poll(&poll, 1, 30_000) == 1, "the relay neither answers nor closes")
      }
    } catch { preconditionFailure("no tunnel: \(error)") }
  }

  private static var tunnelSeeds: [[UInt8]] {
    let stream = Frame.data(3).bytes + [1, 2, 3]
    let frames = [stream, Frame.end.bytes, Frame.reset(104).bytes, Frame.move.bytes]
    return frames.map { [1] + $0 } + [[1] + stream + Frame.end.bytes + (prefaces.first ?? [])]
      + prefaces.map { [0] + $0 }
  }

  private static let relay: FuzzedRelay = {
    do { return try FuzzedRelay() } catch { fatalError("\(error)") }
  }()
}

/// A relay that dials one service for whatever is asked, and a runner that makes tunnels to it.
private final class FuzzedRelay: Sendable {
  private let laboratory: RelayLaboratory
  private let identities: TunnelIdentities

  init() throws {
    let (service, port) = try TestSocket.listener()
    var brief = RelayConfiguration()
    brief.answerTimeout = .milliseconds(200)
    laboratory = try RelayLaboratory(
      b: brief,
      authorize: { _, reply in
        let socket = linux_tcp_socket(AF_INET)
        guard socket >= 0, let port = try? PortNumber(Int(port)) else {
          return reply(.refuse(EMFILE))
        }
        reply(
          .dial(
            DialInstruction(
              socket: OwnedDescriptor(owning: socket), destination: IPv4Address(0x7f00_0001),
              port: port)))
      })
    identities = TunnelIdentities(try laboratory.authority.identity("a"))
    var thread = pthread_t()
    let argument = Unmanaged.passRetained(service)
    pthread_create(
      &thread, nil,
      { argument in
        guard let argument else { return nil }
        let service = Unmanaged<TestSocket>.fromOpaque(argument).takeRetainedValue()
        // Each says a byte, and takes all until it is the next one's turn.
        while let connection = try? service.accept() { try? connection.send([1]) }
        return nil
      }, argument.toOpaque())
  }

  func tunnel() throws -> TunnelChannel { try laboratory.tunnel(identities) }
}
