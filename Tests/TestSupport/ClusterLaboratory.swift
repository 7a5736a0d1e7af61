import Foundation
import LinuxSystem
import Model
import Testing

/// Runners that share deployments, for one test: each a real `istbpfd` with an installation and a
/// network namespace of its own, joined by a wire, with a real etcd and a certificate authority.
/// Nothing is left when the test ends.
public final class ClusterLaboratory: @unchecked Sendable {
  // Safe because each is used by the one test that it is made for.
  /// The cluster's name in certificates and keys.
  public static let name = "laboratory"
  /// Where each runner serves metrics, in its own namespace.
  public static let metrics = "127.0.0.1:9464"
  /// How long a silent runner's keys last, in seconds.
  public static let lease = slowness == 1 ? 3 : 15
  /// How long etcd may take for a call, in seconds: what is the default, unless this is emulated.
  private static let callTimeout = slowness == 1 ? 3 : 20

  /// What joins the runners.
  public let wire: ClusterWire
  /// Their registry.
  public let etcd: ClusterEtcd
  /// Where configurations and certificates are.
  public let directory: String
  private let selection: String
  private let kernelTLS: Bool
  private let laboratory: NamespaceLaboratory
  private var runners: [RunnerLaboratory] = []
  private var namespaces: [String] = []

  /// Runs `body` with so many runners, whose daemons run; requires root.
  public static func with(
    runners count: Int = 2, selection: InstanceSelection = .localFirst,
    kernelTLS: Bool = true, _ body: (ClusterLaboratory) throws -> Void
  ) async throws {
    try await withTaskExecutorPreference(BlockingExecutor.shared) {
      try NamespaceLaboratory.with { laboratory in
        let cluster = try ClusterLaboratory(laboratory, selection, kernelTLS)
        defer { for runner in cluster.runners { runner.remove() } }
        for _ in 0..<count { try cluster.addRunner().startDaemon() }
        try body(cluster)
      }
    }
  }

  private init(
    _ laboratory: NamespaceLaboratory, _ selection: InstanceSelection, _ kernelTLS: Bool
  ) throws {
    let directory = "/tmp/istbpf-\(laboratory.uniqueName("cluster"))"
    laboratory.atEnd { try? FileManager.default.removeItem(atPath: directory) }
    try FileManager.default.createDirectory(
      atPath: "\(directory)/etcd", withIntermediateDirectories: true)
    (self.laboratory, self.directory) = (laboratory, directory)
    (self.selection, self.kernelTLS) = (selection.rawValue, kernelTLS)
    wire = try ClusterWire(laboratory)
    let etcd = try ClusterEtcd(wire, directory: "\(directory)/etcd")
    laboratory.atEnd { etcd.stop() }
    self.etcd = etcd
    try authority("init", "--cluster", Self.name)
  }

  // MARK: Runners

  /// Runner `number`, from 1.
  public subscript(_ number: Int) -> RunnerLaboratory { runners[number - 1] }

  /// One more runner, whose daemon has not been started.
  public func addRunner() throws -> RunnerLaboratory {
    let number = runners.count + 1
    namespaces.append(try wire.makeRunner(number, laboratory))
    let runner = try RunnerLaboratory(
      laboratory, "ist" + laboratory.uniqueName("c"), wrapper: enter(number),
      options: ["--runner-name", "runner\(number)", "--config", configuration(number)])
    runners.append(runner)
    try issue(number)
    try configure(number)
    return runner
  }

  /// What stands before a command that runs in the namespace of runner `number`.
  public func enter(_ number: Int) -> [String] {
    ["nsenter", "--net=/run/netns/\(namespaces[number - 1])"]
  }

  /// What runner `number` serves at a path: `/metrics`.
  public func get(_ path: String, from number: Int) throws -> String {
    try HTTP.get("http://\(Self.metrics)\(path)", enter: enter(number))
  }

  /// The network namespace of runner `number`.
  public func namespace(_ number: Int) throws -> NetworkNamespace {
    try NetworkNamespace(path: "/run/netns/\(namespaces[number - 1])")
  }

  /// Gives runner `number` one more address, and has it take tunnels there when it starts next.
  public func move(_ number: Int, to address: String) throws {
    try wire.addAddress(address, in: namespaces[number - 1])
    try configure(number, address: address)
  }

  /// The configuration of runner `number`.
  public func configuration(_ number: Int) -> String { "\(directory)/runner\(number).json" }

  private func configure(_ number: Int, address: String? = nil) throws {
    let files = "\(directory)/runner\(number)"
    let text = """
      {
        "cluster": "\(Self.name)", "selection": "\(selection)",
        "metrics": { "address": "\(Self.metrics)" },
        "etcd": {
          "endpoints": ["\(ClusterEtcd.url)"], "leaseSeconds": \(Self.lease),
          "callTimeoutSeconds": \(Self.callTimeout),
          "lossConfirmationSeconds": 60
        },
        "tunnel": {
          "address": "\(address ?? ClusterWire.address(number)):7443",
          "certificate": "\(files).crt", "key": "\(files).key",
          "authorities": "\(directory)/ca.crt", "denied": "\(directory)/ca/denied",
          "kernelTLS": \(kernelTLS)
        }
      }
      """
    try text.write(toFile: self.configuration(number), atomically: true, encoding: .utf8)
  }

  // MARK: Certificates

  /// Gives runner `number` a new certificate, valid so many days; what it had stays valid.
  public func issue(_ number: Int, days: Int = 90) throws {
    try authority("issue", "runner\(number)", "--days", "\(days)", "--out", directory)
  }

  /// Puts a serial number, or all that a runner was issued, on the deny list of every runner.
  public func revoke(_ name: String) throws { try authority("revoke", name) }

  /// The serial numbers of the certificates that runner `number` was issued.
  public func serials(_ number: Int) throws -> [String] {
    let result = try authority("list", "--json")
    return try JSONDecoder().decode([[String: String]].self, from: Data(result.output.utf8))
      .filter { $0["runner"] == "runner\(number)" }.compactMap { $0["serial"] }
  }

  @discardableResult
  private func authority(_ arguments: String...) throws -> CommandResult {
    let result = try run(
      [try Product.istbpf(), "ca"] + arguments + ["--directory", "\(directory)/ca"])
    guard result.status == 0 else { throw Conversation.Silence(description: result.errors) }
    return result
  }

  // MARK: What all of them know

  /// Declares services on runner 1, and waits until all runners know them.
  public func deploy(_ deployment: String, _ services: String...) throws {
    let arguments = services.flatMap { ["--service", $0] }
    let result = try self[1].istbpf(["deploy", "--deployment", deployment] + arguments)
    #expect(result.status == 0, "\(result.errors)")
    for runner in runners {
      let isKnown = try runner.eventually {
        try services.allSatisfy {
          try runner.istbpf("env", "\(deployment)/\($0)").status == 0
        }
      }
      #expect(isKnown, "\(runner.installation.name) was not told of \(deployment)")
    }
  }

  /// Starts an instance of `service` on runner `number`, and waits until all runners know it.
  public func instance(of service: String, on number: Int) throws -> TestInstance {
    let before = try runners.map { try $0.reachable(service).count }
    let instance = try self[number].instance(of: service)
    for (runner, count) in zip(runners, before) {
      let isKnown = try runner.eventually { try runner.reachable(service).count == count + 1 }
      #expect(isKnown, "\(runner.installation.name) was not told of an instance of \(service)")
    }
    return instance
  }
}
