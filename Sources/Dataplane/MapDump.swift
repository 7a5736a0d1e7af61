import CDataplaneABI
import Model

/// A pinned map as a table, decoded into names and addresses.
public struct MapDump: Sendable {
  /// The map's name, as it is pinned.
  public let map: String
  /// The headings, also the keys in JSON.
  public let columns: [String]
  /// One value a column in each row.
  public let rows: [[String]]
}

extension PinnedState {
  /// The maps that `dump` knows, in the order in which they are shown.
  public static let mapNames = [
    "layout", "deployments", "services", "cgroup_identity", "fabric_links", "listening",
    "listeners", "denials", "flows",
  ]

  /// Decodes one map.
  public func dump(_ map: String) throws(DataplaneError) -> MapDump {
    let names = try Names(maps)
    return switch map {
    case "layout": try dumpLayout()
    case "deployments": try dumpDeployments()
    case "services": try dumpServices(names)
    case "cgroup_identity": try dumpIdentities(map, maps.cgroupIdentity.entries(), "cgroup", names)
    case "fabric_links": try dumpIdentities(map, maps.fabricLinks.entries(), "ifindex", names)
    case "listening": try dumpListening(names)
    case "listeners": try dumpListeners(names)
    case "denials": try dumpDenials(names)
    case "flows": try dumpFlows(names)
    default: throw .noSuchMap(name: map, known: Self.mapNames)
    }
  }

  private func dumpLayout() throws(DataplaneError) -> MapDump {
    MapDump(
      map: "layout", columns: ["abi_version", "range"],
      rows: [
        [
          "\(try maps.layout.value(at: LayoutKey.version) ?? 0)",
          try maps.plan()?.description ?? "-",
        ]
      ])
  }

  private func dumpDeployments() throws(DataplaneError) -> MapDump {
    let rows = try maps.deployments.entries().sorted { $0.key < $1.key }
      .map { ["\($0.key)", string(of: $0.value.name)] }
    return MapDump(map: "deployments", columns: ["id", "deployment"], rows: rows)
  }

  private func dumpServices(_ names: Names) throws(DataplaneError) -> MapDump {
    let entries = try maps.services.entries()
      .sorted { ($0.key.deployment, $0.key.service) < ($1.key.deployment, $1.key.service) }
    let rows = entries.map { key, value in
      [
        names.deployment(key.deployment), string(of: value.name),
        names.address(service: key.service, octet: UInt32(IST_SERVICE_OCTET)), "\(value.port)",
        names.addresses(service: key.service, instances: value.local),
        names.addresses(service: key.service, instances: value.remote),
      ]
    }
    return MapDump(
      map: "services", columns: ["deployment", "service", "address", "port", "local", "remote"],
      rows: rows)
  }

  private func dumpIdentities<Key: BitwiseCopyable & Comparable>(
    _ map: String, _ entries: [(key: Key, value: ist_identity)], _ key: String, _ names: Names
  ) -> MapDump {
    let rows = entries.sorted { $0.key < $1.key }.map { entry in
      [
        "\(entry.key)", names.deployment(entry.value.deployment),
        names.service(entry.value.deployment, at: entry.value.address),
        "\(IPv4Address(entry.value.address))", "\(entry.value.cgroup_id)",
        "\(entry.value.ifindex)",
      ]
    }
    return MapDump(
      map: map,
      columns: [key, "deployment", "service", "address", "cgroup_id", "link"], rows: rows)
  }

  private func dumpListening(_ names: Names) throws(DataplaneError) -> MapDump {
    let entries = try maps.listening.entries().sorted {
      ($0.key.deployment, $0.key.service, $0.key.port)
        < ($1.key.deployment, $1.key.service, $1.key.port)
    }
    let rows = entries.map { key, value in
      [
        names.deployment(key.deployment),
        names.service(key.deployment, number: UInt32(key.service)),
        "\(key.port)", names.addresses(service: UInt32(key.service), instances: value.instances),
      ]
    }
    return MapDump(
      map: "listening", columns: ["deployment", "service", "port", "instances"], rows: rows)
  }

  private func dumpListeners(_ names: Names) throws(DataplaneError) -> MapDump {
    let entries = try maps.listeners.entries().sorted {
      ($0.key.deployment, $0.key.address, $0.key.port)
        < ($1.key.deployment, $1.key.address, $1.key.port)
    }
    let rows = entries.map { key, value in
      [
        names.deployment(key.deployment), names.service(key.deployment, at: key.address),
        "\(IPv4Address(key.address))", "\(key.port)", "\(value.reachable)", "\(value.loopback)",
      ]
    }
    return MapDump(
      map: "listeners",
      columns: ["deployment", "service", "address", "port", "reachable", "loopback_only"],
      rows: rows)
  }

  /// Connections to other runners that are not accepted yet: none for more than a moment.
  private func dumpFlows(_ names: Names) throws(DataplaneError) -> MapDump {
    let rows = try maps.flows.entries().map { key, value in
      [
        names.deployment(key.deployment), "\(IPv4Address(key.source)):\(key.source_port)",
        "\(IPv4Address(key.destination)):\(key.destination_port)",
        value == UInt32(IST_FLOW_ACCEPTED.rawValue) ? "accepted" : "pending",
      ]
    }
    return MapDump(
      map: "flows", columns: ["deployment", "source", "destination", "outcome"], rows: rows)
  }

  private func dumpDenials(_ names: Names) throws(DataplaneError) -> MapDump {
    let entries = try maps.denials.entries().sorted {
      ($0.key.deployment, $0.key.service, $0.key.reason)
        < ($1.key.deployment, $1.key.service, $1.key.reason)
    }
    let rows = entries.map { key, value in
      [
        names.deployment(key.deployment), names.service(key.deployment, number: key.service),
        Reason(rawValue: key.reason)?.identifier ?? "reason-\(key.reason)", "\(value)",
      ]
    }
    return MapDump(
      map: "denials", columns: ["deployment", "service", "reason", "count"], rows: rows)
  }
}

/// What the numbers in the maps are called.
private struct Names {
  private let plan: AddressPlan
  private let deployments: [UInt32: String]
  private let services: [UInt64: String]

  init(_ maps: MapSet) throws(DataplaneError) {
    plan = try maps.plan() ?? .standard
    deployments = Dictionary(
      try maps.deployments.entries().map { ($0.key, string(of: $0.value.name)) },
      uniquingKeysWith: { first, _ in first })
    services = Dictionary(
      try maps.services.entries().map {
        (Self.key($0.key.deployment, $0.key.service), string(of: $0.value.name))
      },
      uniquingKeysWith: { first, _ in first })
  }

  func deployment(_ id: UInt32) -> String { deployments[id] ?? (id == 0 ? "-" : "#\(id)") }

  func service(_ deployment: UInt32, number: UInt32) -> String {
    services[Self.key(deployment, number)] ?? (number == 0 ? "-" : "#\(number)")
  }

  func service(_ deployment: UInt32, at address: UInt32) -> String {
    service(deployment, number: (plan.offset(of: IPv4Address(address)) ?? 0) >> 8)
  }

  func address(service: UInt32, octet: UInt32) -> String {
    "\(IPv4Address(plan.base.rawValue + service << 8 + octet))"
  }

  /// The addresses of the instances whose bits are set in a C array of 64-bit words.
  func addresses<Words>(service: UInt32, instances: Words) -> String {
    let octets = withUnsafeBytes(of: instances) { bytes in
      let words = bytes.bindMemory(to: UInt64.self)
      return (0..<UInt32(words.count * 64)).filter {
        words[Int($0 / 64)] >> UInt64($0 % 64) & 1 == 1
      }
    }
    return octets.isEmpty
      ? "-" : octets.map { address(service: service, octet: $0) }.joined(separator: " ")
  }

  private static func key(_ deployment: UInt32, _ service: UInt32) -> UInt64 {
    UInt64(deployment) << 32 | UInt64(service)
  }
}
