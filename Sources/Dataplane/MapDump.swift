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
    "layout", "deployments", "services", "egress", "cgroup_identity", "fabric_links", "listening",
    "listeners", "denials", "event_rates", "flows",
  ]

  /// Decodes one map.
  public func dump(_ map: String) throws(DataplaneError) -> MapDump {
    let names = try Names(maps)
    return switch map {
    case "layout": try dumpLayout()
    case "deployments": try dumpDeployments()
    case "services": try dumpServices(names)
    case "egress": try dumpEgress(names)
    case "cgroup_identity": try dumpIdentities(map, maps.cgroupIdentity.entries(), "cgroup", names)
    case "fabric_links": try dumpIdentities(map, maps.fabricLinks.entries(), "ifindex", names)
    case "listening": try dumpListening(names)
    case "listeners": try dumpListeners(names)
    case "denials": try dumpDenials(names)
    case "event_rates": try dumpEventRates(names)
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
        (value.flags & UInt32(IST_SPREAD) == 0 ? InstanceSelection.localFirst : .spread).rawValue,
      ]
    }
    return MapDump(
      map: "services",
      columns: ["deployment", "service", "address", "port", "local", "remote", "selection"],
      rows: rows)
  }

  /// The rules, and how many connections each has let out.
  private func dumpEgress(_ names: Names) throws(DataplaneError) -> MapDump {
    let rows = try maps.egress.entries().map { key, connections in
      let rule = AllowedNetwork(key)
      return (
        (
          key.owner.deployment, key.owner.service, rule.network.first, rule.network.prefixLength
        ),
        [
          names.deployment(key.owner.deployment),
          names.service(key.owner.deployment, number: key.owner.service), rule.description,
          "\(connections)",
        ]
      )
    }
    return MapDump(
      map: "egress", columns: ["deployment", "service", "rule", "connections"],
      rows: rows.sorted { $0.0 < $1.0 }.map(\.1))
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
        "\(FlowOutcome(value).rawValue)",
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

  /// What was not told to observers, by instance.
  private func dumpEventRates(_ names: Names) throws(DataplaneError) -> MapDump {
    let rows = try maps.eventRates.entries().sorted { $0.key < $1.key }.map { ifindex, value in
      let identity = names.identity(ifindex: ifindex)
      return [
        "\(ifindex)", names.deployment(UInt32(identity.deployment)),
        names.service(UInt32(identity.deployment), at: identity.address.rawValue),
        "\(identity.address)", "\(value.denials_untold)", "\(value.flows_untold)",
      ]
    }
    return MapDump(
      map: "event_rates",
      columns: [
        "ifindex", "deployment", "service", "address", "denials_untold", "connections_untold",
      ],
      rows: rows)
  }
}
