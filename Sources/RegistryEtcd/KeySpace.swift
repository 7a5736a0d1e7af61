import Foundation
import Model

/// The keys of a cluster, below `/istbpf/v1/<cluster>/`.
///
/// | key | holds | lasts | written by |
/// |---|---|---|---|
/// | `runners/<runner>` | `RunnerRecord` | the runner's lease | that runner |
/// | `endpoints/<runner>/<deployment>/<service>/<instance>` | `EndpointRecord` | its lease | that runner |
/// | `services/<deployment>/<service>` | `ServiceRecord` | for ever | who declares |
/// | `allocations/<deployment>/services` | `ServiceNumbers` | for ever | who declares |
/// | `allocations/<deployment>/instances/<number>` | `InstanceNumbers` | for ever | who starts |
///
/// The runner comes first in an endpoint's key, so that a role of etcd can let a runner write its own
/// endpoints and no others: that an instance is on a runner is then etcd's word, not the runner's.
///
/// Each part is percent-encoded where it has `/`, `%` or a control character, and else as it is, so
/// that people can read the keys. Keys are octets: names that Unicode takes as equal stay two.
struct KeySpace: Hashable, Sendable {
  /// What every key of the cluster begins with.
  let prefix: String

  init(cluster: String) { prefix = "/istbpf/v1/\(Self.encode(cluster))/" }

  /// What a key is the key of.
  enum Subject: Hashable, Sendable {
    case runner(String)
    case endpoint(runner: String, deployment: DeploymentName, service: ServiceName, InstanceNumber)
    case service(DeploymentName, ServiceName)
    case serviceNumbers(DeploymentName)
    case instanceNumbers(DeploymentName, ServiceNumber)
  }

  /// Every key of the cluster.
  var all: KeyRange { KeyRange(prefix: Data(prefix.utf8)) }

  /// Every key with the numbers of instances and services.
  var allocations: KeyRange { KeyRange(prefix: Data((prefix + "allocations/").utf8)) }

  /// Every key with numbers of `deployment`.
  func allocations(of deployment: DeploymentName) -> KeyRange {
    KeyRange(prefix: Data("\(prefix)allocations/\(Self.encode(deployment.rawValue))/".utf8))
  }

  /// Every service of `deployment`.
  func services(of deployment: DeploymentName) -> KeyRange {
    KeyRange(prefix: Data("\(prefix)services/\(Self.encode(deployment.rawValue))/".utf8))
  }

  /// Every endpoint on `runner`.
  func endpoints(of runner: String) -> KeyRange {
    KeyRange(prefix: Data("\(prefix)endpoints/\(Self.encode(runner))/".utf8))
  }

  /// The key of `subject`.
  func key(_ subject: Subject) -> Data {
    let parts: [String] =
      switch subject {
      case .runner(let runner): ["runners", runner]
      case .endpoint(let runner, let deployment, let service, let number):
        ["endpoints", runner, deployment.rawValue, service.rawValue, "\(number)"]
      case .service(let deployment, let service):
        ["services", deployment.rawValue, service.rawValue]
      case .serviceNumbers(let deployment): ["allocations", deployment.rawValue, "services"]
      case .instanceNumbers(let deployment, let number):
        ["allocations", deployment.rawValue, "instances", "\(number)"]
      }
    return Data((prefix + parts.map(Self.encode).joined(separator: "/")).utf8)
  }

  /// The key of an instance's endpoint.
  func key(_ instance: Instance) -> Data {
    key(
      .endpoint(
        runner: instance.runner, deployment: instance.deployment, service: instance.service,
        instance.number))
  }

  /// What `key` is the key of; nil where this code would never have made it.
  func subject(of key: Data) -> Subject? {
    let start = Data(prefix.utf8)
    guard key.starts(with: start) else { return nil }
    var parts: [String] = []
    for part in key.dropFirst(start.count).split(
      separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
    {
      guard let part = Self.decode(part) else { return nil }
      parts.append(part)
    }
    switch (parts.first, parts.count) {
    case ("runners", 2): return parts[1].isEmpty ? nil : .runner(parts[1])
    case ("endpoints", 5):
      guard let deployment = try? DeploymentName(parts[2]), !parts[1].isEmpty,
        let service = try? ServiceName(parts[3]), let number = InstanceNumber(parts[4]),
        AddressPlan.instanceNumbers.contains(number)
      else { return nil }
      return .endpoint(runner: parts[1], deployment: deployment, service: service, number)
    case ("services", 3):
      guard let deployment = try? DeploymentName(parts[1]),
        let service = try? ServiceName(parts[2])
      else { return nil }
      return .service(deployment, service)
    case ("allocations", 3) where parts[2] == "services":
      return (try? DeploymentName(parts[1])).map { .serviceNumbers($0) }
    case ("allocations", 4) where parts[2] == "instances":
      guard let deployment = try? DeploymentName(parts[1]), let number = ServiceNumber(parts[3]),
        AddressPlan.serviceNumbers.contains(number)
      else { return nil }
      return .instanceNumbers(deployment, number)
    default: return nil
    }
  }

  /// `part` with `/`, `%`, control characters and DEL as `%` and two hexadecimal digits.
  static func encode(_ part: String) -> String {
    String(
      decoding: part.utf8.flatMap { octet -> [UInt8] in
        let isPlain =
          octet > 0x1f && octet != 0x7f && octet != UInt8(ascii: "/")
          && octet != UInt8(ascii: "%")
        return isPlain ? [octet] : [UInt8(ascii: "%"), digit(octet >> 4), digit(octet & 0xf)]
      }, as: UTF8.self)
  }

  private static func digit(_ value: UInt8) -> UInt8 { Array("0123456789ABCDEF".utf8)[Int(value)] }

  /// What was encoded; nil for a `%` without two digits, and for what is not UTF-8.
  static func decode(_ part: some Collection<UInt8>) -> String? {
    var octets: [UInt8] = []
    var rest = part[...]
    while let octet = rest.popFirst() {
      guard octet == UInt8(ascii: "%") else {
        octets.append(octet)
        continue
      }
      let digits = rest.prefix(2)
      guard digits.count == 2, digits.first != UInt8(ascii: "+"),
        let value = UInt8(String(decoding: digits, as: UTF8.self), radix: 16)
      else { return nil }
      octets.append(value)
      rest = rest.dropFirst(2)
    }
    return String(validating: octets, as: UTF8.self)
  }
}
