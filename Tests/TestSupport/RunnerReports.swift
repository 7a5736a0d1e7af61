import Foundation

extension RunnerLaboratory {
  /// An instance as `istbpf ps --json` shows it; what a test asks of it.
  public struct ListedInstance: Decodable, Sendable {
    /// Its name: `shop/app.2`.
    public let instance: String
    /// Its address.
    public let address: String
    /// Its cgroup's path.
    public let cgroup: String
    /// Its processes.
    public let pids: [Int32]
    /// The hooks of which the kernel has no program of ours.
    public let missingHooks: [String]
    /// Whether the fabric's end of its link has the switch.
    public let switchAttached: Bool
    /// The container's id; nil where it is none.
    public let container: String?
    /// Its engine; nil where it is no container.
    public let engine: String?

    /// Whether every program is in effect.
    public var isGuarded: Bool { missingHooks.isEmpty && switchAttached }
  }

  /// What `istbpf ps` lists.
  public func listedInstances() throws -> [ListedInstance] {
    try JSONDecoder().decode(
      [ListedInstance].self, from: Data(try istbpf("ps", "--json").output.utf8))
  }

  /// The rows of a pinned map as `istbpf inspect` shows them.
  public func inspect(_ map: String) throws -> [[String: String]] {
    let output = try istbpf("inspect", map, "--json").output
    return try JSONDecoder().decode([String: [[String: String]]].self, from: Data(output.utf8))[map]
      ?? []
  }

  /// The addresses of the instances that connect() on this runner knows of a service, `shop/db`.
  public func reachable(_ service: String) throws -> [String] {
    let row = try inspect("services").first {
      "\($0["deployment"] ?? "")/\($0["service"] ?? "")" == service
    }
    return [row?["local"], row?["remote"]].flatMap { ($0 ?? "").split(separator: " ") }
      .map(String.init).filter { $0 != "-" }
  }

  /// How often the data path has denied a service something for `reason`.
  public func denials(_ service: String, _ reason: String) throws -> Int {
    let row = try inspect("denials").first {
      "\($0["deployment"] ?? "")/\($0["service"] ?? "")" == service && $0["reason"] == reason
    }
    return row.flatMap { Int($0["count"] ?? "") } ?? 0
  }

  /// Whether `condition` holds within `patience` seconds, times `slowness`.
  public func eventually(
    within patience: Double = 5, _ condition: () throws -> Bool
  ) rethrows -> Bool {
    let deadline = Date() + patience * Double(slowness)
    while Date() < deadline {
      if try condition() { return true }
      usleep(20_000)
    }
    return try condition()
  }

  /// Whether istbpfd says `text` in its log, or does so soon: what it logs comes through a pipe, and after what it
  /// tells of has taken effect.
  public func logs(_ text: String, within patience: Double = 5) -> Bool {
    eventually(within: patience) { daemon?.log.contains(text) == true }
  }
}
