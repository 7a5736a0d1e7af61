import ControlAPI
import Glibc
import Model

/// A name outside every deployment, such as `example.org`, as the target of `explain`.
struct OutsideName {
  /// The name as rules have it.
  let host: String
  /// Its IPv4 addresses: those that istbpfd has of it, where a rule of the caller names it, or as this machine
  /// resolves it now.
  let addresses: [String]
  /// What people must know beside what becomes of each address.
  let note: String
  /// What istbpfd knows of it; nil where no rule of the caller names it.
  private let known: Istbpf_Control_V1_OutsideName?

  /// A name that nothing has.
  struct Unknown: Error, CustomStringConvertible {
    let description: String
  }

  /// The name that a target is; nil where it is something else, or a service of the deployment that is
  /// called so. Throws `Unknown` where no rule names it and it cannot be resolved.
  init?(
    _ target: ConnectTarget, from caller: ServiceReference,
    _ status: Istbpf_Control_V1_GetStatusResponse
  ) throws {
    guard case .service(let text) = target.host, text.contains(".") else { return nil }
    let services = status.deployments.first { $0.name == caller.deployment }?.services ?? []
    guard !services.contains(where: { $0.name == text }) else { return nil }
    let host = (try? HostName(text))?.rawValue ?? text
    self.host = host
    let own = services.first { $0.name == caller.service }
    known = own?.names.first { $0.name == host }
    if let known {
      addresses = known.addresses + known.former
      note = "\(host) is \(known.addressText): \(known.stateText)"
    } else {
      addresses = try Self.resolve(host, from: caller)
      let port = target.port.map(\.description) ?? "PORT"
      note =
        "\(host) is \(addresses.joined(separator: ", ")), as this machine resolves it; no egress rule of "
        + "\(caller.deployment)/\(caller.service) names it, so its programs cannot resolve it: add "
        + "\"\(host):\(port)\" to its deployment.egress, and deploy"
    }
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

  /// What becomes of a connect where the name has no address that is open.
  var unresolved: Istbpf_Control_V1_ExplainResponse {
    .with {
      $0.outcome = "unresolved"
      $0.decidedBy = "/etc/hosts"
      $0.target = host
      $0.why =
        "a rule names it, and it has no address that is open, so programs do not find it: "
        + (known?.stateText ?? "")
    }
  }
}
