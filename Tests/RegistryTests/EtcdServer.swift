import Foundation
import Glibc
import Logging
import Model
import Registry
import RegistryEtcd

/// An etcd of a test's own, on 127.0.0.1 with ports and a directory of its own. It is killed, and its
/// files go away, with the test.
final class EtcdServer: @unchecked Sendable {
  /// What is wrong when there is none: then a test fails, since one that did not run is no pass.
  struct Missing: Error, CustomStringConvertible {
    let description: String
  }

  let directory: String
  let port: Int
  let certificates: EtcdCertificates?
  private let peerPort: Int
  // Only the test's own task starts and stops it.
  private var process: Process?

  init(certificates: EtcdCertificates? = nil) async throws {
    await Self.turn.take()
    var template = Array("/tmp/istbpf-etcd-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else { throw POSIXError(.init(rawValue: errno) ?? .EIO) }
    directory = String(decoding: template.dropLast().map(UInt8.init), as: UTF8.self)
    (port, peerPort) = (try Self.freePort(), try Self.freePort())
    self.certificates = certificates
    try certificates?.make(in: directory)
    try await start()
  }

  deinit {
    stop()
    try? FileManager.default.removeItem(atPath: directory)
    Task { await Self.turn.give() }
  }

  /// One test with an etcd at a time: what they measure is time, too.
  private static let turn = Turn()

  private actor Turn {
    private var isTaken = false
    private var waiting: [CheckedContinuation<Void, Never>] = []

    func take() async {
      if isTaken { await withCheckedContinuation { waiting.append($0) } } else { isTaken = true }
    }

    func give() {
      if waiting.isEmpty { isTaken = false } else { waiting.removeFirst().resume() }
    }
  }

  var url: String { "\(certificates == nil ? "http" : "https")://127.0.0.1:\(port)" }

  /// Starts it with the data that it had; returns when it answers.
  func start() async throws {
    guard access("/usr/bin/etcd", X_OK) == 0 else {
      throw Missing(
        description: "there is no /usr/bin/etcd: apt-get install etcd-server etcd-client")
    }
    let process = Process()
    process.executableURL = URL(filePath: "/usr/bin/etcd")
    var arguments = [
      "--name", "test", "--data-dir", directory + "/data",
      "--listen-client-urls", url, "--advertise-client-urls", url,
      "--listen-peer-urls", "http://127.0.0.1:\(peerPort)",
      "--initial-advertise-peer-urls", "http://127.0.0.1:\(peerPort)",
      "--initial-cluster", "test=http://127.0.0.1:\(peerPort)",
      // The shortest lease is one and a half times the election timeout.
      "--heartbeat-interval", "60", "--election-timeout", "600", "--logger", "zap",
      "--log-outputs", directory + "/log",
    ]
    if certificates != nil {
      arguments += [
        "--cert-file", directory + "/server.pem", "--key-file", directory + "/server.key",
        "--client-cert-auth", "--trusted-ca-file", directory + "/ca.pem",
      ]
    }
    process.arguments = arguments
    process.standardOutput = FileHandle.nullDevice
    process.standardError = FileHandle.nullDevice
    try process.run()
    self.process = process
    for _ in 0..<200 {
      if (try? ctl("get", "none")) != nil { return }
      try await Task.sleep(for: .milliseconds(50))
    }
    let log = (try? String(contentsOfFile: directory + "/log", encoding: .utf8)) ?? ""
    throw Missing(description: "etcd does not answer at \(url): \(log.suffix(1000))")
  }

  /// Kills it, as a crash would.
  func stop() {
    guard let process else { return }
    kill(process.processIdentifier, SIGKILL)
    process.waitUntilExit()
    self.process = nil
  }

  /// What etcdctl says.
  @discardableResult
  func ctl(_ arguments: String...) throws -> String {
    let process = Process()
    let output = Pipe()
    process.executableURL = URL(filePath: "/usr/bin/etcdctl")
    process.environment = ["ETCDCTL_API": "3"]
    var options = ["--endpoints", url, "--dial-timeout", "2s", "--command-timeout", "2s"]
    if certificates != nil {
      options += [
        "--cacert", directory + "/ca.pem", "--cert", directory + "/admin.pem",
        "--key", directory + "/admin.key", "--insecure-skip-tls-verify",
      ]
    }
    process.arguments = options + arguments
    process.standardOutput = output
    process.standardError = FileHandle.nullDevice
    try process.run()
    let data = output.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    guard process.terminationStatus == 0 else {
      throw Missing(description: "etcdctl \(arguments) failed")
    }
    return String(decoding: data, as: UTF8.self)
  }

  /// The store's revision.
  func revision() throws -> Int {
    let json = try ctl("get", "none", "-w", "json")
    guard let match = json.firstMatch(of: /"revision":(\d+)/), let revision = Int(match.1) else {
      throw Missing(description: "no revision in \(json)")
    }
    return revision
  }

  /// A runner's registry here, with short times.
  func configuration(
    _ runner: String = "r1", state: String? = nil,
    _ change: (inout EtcdConfiguration) -> Void = { _ in }
  ) throws -> EtcdConfiguration {
    let state = state ?? directory + "/state-\(runner.utf8.map { "\($0)" }.joined(separator: "-"))"
    try FileManager.default.createDirectory(atPath: state, withIntermediateDirectories: true)
    var configuration = EtcdConfiguration(
      endpoints: [url], cluster: "test", runner: runner, address: "192.0.2.1:7946",
      stateDirectory: state)
    configuration.leaseSeconds = 2
    configuration.lossConfirmation = .seconds(2)
    configuration.callTimeout = .seconds(10)
    configuration.retryDelay = .milliseconds(50)...Duration.milliseconds(200)
    change(&configuration)
    return configuration
  }

  func open(
    _ runner: String = "r1", _ change: (inout EtcdConfiguration) -> Void = { _ in }
  ) async throws -> EtcdRegistry {
    try await EtcdRegistry.open(configuration(runner, change), logger: quiet)
  }

  private static func freePort() throws -> Int {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(descriptor) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let result = withUnsafeMutablePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(descriptor, $0, length) | getsockname(descriptor, $0, &length)
      }
    }
    guard result == 0 else { throw POSIXError(.init(rawValue: errno) ?? .EIO) }
    return Int(UInt16(bigEndian: address.sin_port))
  }
}

let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

/// Waits until `condition` holds, for `seconds` at most; whether it does.
func eventually(
  within seconds: Double = 5, _ condition: () async throws -> Bool
) async throws -> Bool {
  let deadline = ContinuousClock.now + .seconds(seconds)
  while ContinuousClock.now < deadline {
    if try await condition() { return true }
    try await Task.sleep(for: .milliseconds(20))
  }
  return try await condition()
}

extension SharedRegistry {
  /// The state as it is known now.
  func currentView() async throws -> ClusterView {
    for await view in await views() { return view }
    throw EtcdServer.Missing(description: "the registry is closed")
  }
}
