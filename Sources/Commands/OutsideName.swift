import ControlAPI
import Glibc
import Model

/// A name outside every deployment, such as `example.org`, as the target of `explain`.
struct OutsideName {
  /// The name as it was given.
  let host: String
  /// Its IPv4 addresses, as this machine resolves it now; at least one.
  let addresses: [String]

  /// A name that nothing has.
  struct Unknown: Error, CustomStringConvertible {
    let description: String
  }

  /// The name that a target is; nil where it is something else, or a service of the deployment that is
  /// called so. Throws `Unknown` where it cannot be resolved.
  init?(
    _ target: ConnectTarget, from caller: ServiceReference,
    _ status: Istbpf_Control_V1_GetStatusResponse
  ) throws {
    guard case .service(let host) = target.host, host.contains(".") else { return nil }
    let services = status.deployments.first { $0.name == caller.deployment }?.services ?? []
    guard !services.contains(where: { $0.name == host }) else { return nil }
    self.host = host
    addresses = try Self.resolve(host, from: caller)
  }

  private static func resolve(_ host: String, from caller: ServiceReference) throws -> [String] {
    var hints = addrinfo()
    hints.ai_family = AF_INET
    hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    var list: UnsafeMutablePointer<addrinfo>?
    let result = getaddrinfo(host, nil, &hints, &list)
    guard result == 0 else {
      throw Unknown(
        description: """
          service "\(host)" is not declared in deployment \(caller.deployment), and as a name outside it \
          has no IPv4 address: \(String(cString: gai_strerror(result)))
          """)
    }
    defer { freeaddrinfo(list) }
    var found: Set<IPv4Address> = []
    var next = list
    while let entry = next?.pointee {
      next = entry.ai_next
      guard let address = entry.ai_addr else { continue }
      address.withMemoryRebound(to: sockaddr_in.self, capacity: 1) {
        _ = found.insert(IPv4Address(networkOrder: $0.pointee.sin_addr.s_addr))
      }
    }
    return found.sorted { $0.rawValue < $1.rawValue }.map(\.description)
  }

  /// What people must know beside the answers.
  var note: String {
    "\(host) is \(addresses.joined(separator: ", ")), as this machine resolves it; a program of the "
      + "service has no DNS over UDP, and needs the address or a resolver that uses TCP"
  }
}
