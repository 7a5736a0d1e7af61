import Foundation

/// The etcd of a `ClusterLaboratory`, in the namespace of the wire. What it has outlives its process.
public final class ClusterEtcd: @unchecked Sendable {
  // Safe because each is used by the one test that it is made for.
  /// Where it answers.
  public static let url = "http://\(ClusterWire.hub):2379"

  private let enter: [String]
  private let directory: String
  private var process: Conversation?

  init(_ wire: ClusterWire, directory: String) throws {
    enter = ["nsenter", "--net=/run/netns/\(wire.name)"]
    self.directory = directory
    // For the peer's address, of which etcd must have one.
    try run(enter + ["ip", "link", "set", "lo", "up"])
    try start()
  }

  /// Starts it with the data that it had; returns when it answers.
  public func start() throws {
    process = try Conversation(
      enter + [
        "/usr/bin/etcd", "--data-dir", "\(directory)/data", "--listen-client-urls", Self.url,
        "--advertise-client-urls", Self.url, "--listen-peer-urls", "http://127.0.0.1:2380",
        // The shortest lease is one and a half times the election timeout.
        "--heartbeat-interval", "60", "--election-timeout", "600", "--logger", "zap",
        "--log-outputs", "\(directory)/log",
      ])
    let deadline = Date() + 30
    while try etcdctl("endpoint", "health").status != 0 {
      guard Date() < deadline else {
        let log = (try? String(contentsOfFile: "\(directory)/log", encoding: .utf8)) ?? ""
        throw RequirementMissing(description: "etcd does not answer: \(log.suffix(1000))")
      }
      usleep(50_000)
    }
  }

  /// Kills it, as a crash would.
  public func stop() {
    process?.stop()
    process = nil
  }

  /// Deletes every key below `prefix` in one transaction.
  public func delete(_ prefix: String) throws {
    let result = try etcdctl("del", "--prefix", prefix)
    guard result.status == 0 else { throw Conversation.Silence(description: result.errors) }
  }

  /// The keys below `prefix`.
  public func keys(_ prefix: String) throws -> [String] {
    try etcdctl("get", "--prefix", "--keys-only", prefix).output
      .split(separator: "\n").map(String.init)
  }

  private func etcdctl(_ arguments: String...) throws -> CommandResult {
    try run(
      enter + ["env", "ETCDCTL_API=3", "/usr/bin/etcdctl", "--endpoints", Self.url] + arguments)
  }
}
