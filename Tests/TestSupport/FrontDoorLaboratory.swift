import Foundation
import LinuxSystem
import Model
import Testing

/// A runner with a front door for one test: in a network namespace of its own, so that its ports are
/// nobody else's, with a certificate of an authority of its own. Nothing is left when the test ends.
public final class FrontDoorLaboratory: @unchecked Sendable {
  // Safe because each is used by the one test that it is made for.
  /// The domain of the services' names.
  public static let domain = "shop.test"
  /// The address of the front door.
  public static let address = "127.0.0.1"

  /// The runner.
  public let runner: RunnerLaboratory
  /// The directory of certificates.
  public var certificates: String { "\(directory)/certificates" }
  private let directory: String
  private let enter: [String]

  /// Runs `body` with a runner whose daemon runs, and whose front door is open; requires root.
  public static func with(_ body: (FrontDoorLaboratory) throws -> Void) async throws {
    try await withTaskExecutorPreference(BlockingExecutor.shared) {
      try NamespaceLaboratory.with { laboratory in
        let door = try FrontDoorLaboratory(laboratory)
        defer { door.runner.remove() }
        try door.runner.startDaemon()
        try body(door)
      }
    }
  }

  private init(_ laboratory: NamespaceLaboratory) throws {
    let directory = "/tmp/istbpf-\(laboratory.uniqueName("door"))"
    laboratory.atEnd { try? FileManager.default.removeItem(atPath: directory) }
    try FileManager.default.createDirectory(
      atPath: "\(directory)/certificates", withIntermediateDirectories: true)
    let (namespace, _) = try laboratory.namespace()
    try run("ip", "-n", namespace, "link", "set", "lo", "up")
    enter = ["nsenter", "--net=/run/netns/\(namespace)"]
    try """
    {"frontDoor": {"domain": "\(Self.domain)", "https": "\(Self.address):443",
      "http": "\(Self.address):80", "certificates": "\(directory)/certificates"}}
    """.write(toFile: "\(directory)/config.json", atomically: true, encoding: .utf8)
    self.directory = directory
    // HAProxy's user may not enter it: root may have started the daemon from its home.
    let home = "\(directory)/home"
    try FileManager.default.createDirectory(
      atPath: home, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
    runner = try RunnerLaboratory(
      laboratory, "ist" + laboratory.uniqueName("f"), wrapper: enter + ["env", "--chdir", home],
      options: ["--config", "\(directory)/config.json"])
    try authority("init", "--cluster", "door")
    try authority("issue-domain", Self.domain, "--out", certificates)
  }

  /// A command of `istbpf ca`, with this authority.
  public func authority(_ arguments: String...) throws {
    let result = try run(
      [try Product.istbpf(), "ca"] + arguments + ["--directory", "\(directory)/ca"])
    guard result.status == 0 else { throw Conversation.Silence(description: result.errors) }
  }

  // MARK: Requests

  /// What curl prints for these arguments; it trusts the authority, and finds every host here.
  public func curl(_ arguments: String...) throws -> String {
    let ports = [443, 80].flatMap { ["--resolve", "*:\($0):\(Self.address)"] }
    let result = try run(
      enter + ["curl", "--silent", "--show-error", "--max-time", "30", "--cacert"]
        + ["\(directory)/ca/ca.crt"] + ports + arguments)
    // Of several requests at once it tells the progress even when it is silent.
    return result.status == 0 ? result.output : result.output + result.errors
  }

  /// The status of what is at `path` of a service's host, `app-shop`.
  public func status(_ host: String, _ path: String = "/") throws -> String {
    try curl(
      "--output", "/dev/null", "--write-out", "%{http_code}",
      "https://\(host).\(Self.domain)\(path)")
  }

  /// What a function of `Programs/web.py` prints, as a client of a service's host.
  public func client(_ name: String, host: String, _ arguments: String..., input: String = "")
    throws -> String
  {
    let result = try run(
      ["sh", "-c", "printf '%b' \"$0\" | \"$@\"", input] + enter
        + clientCommand(name, host: host, arguments))
    return result.output + result.errors
  }

  /// Starts such a client.
  public func startClient(_ name: String, host: String, _ arguments: [String]) throws
    -> Conversation
  {
    let client = try Conversation(enter + clientCommand(name, host: host, arguments))
    runner.laboratory.atEnd { client.stop() }
    return client
  }

  private func clientCommand(_ name: String, host: String, _ arguments: [String]) -> [String] {
    ["/usr/bin/python3", Self.program, name, Self.address, "\(host).\(Self.domain)"] + arguments
  }

  // MARK: Services

  /// `Programs/web.py`.
  public static let program = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .appendingPathComponent("Programs/web.py").path

  /// Starts an instance of `service`, `shop/app`, that serves on `port`.
  public static func serve(
    _ service: String, port: Int = 8080, on runner: RunnerLaboratory
  ) throws -> Conversation {
    let instance = try runner.start(service, "/usr/bin/python3", program, "serve", "\(port)")
    guard try instance.nextLine() == "up" else {
      throw Conversation.Silence(description: instance.errorText)
    }
    return instance
  }

  /// Declares a service by a `warp.config.json`, and expects that it works.
  public func declare(_ deployment: String, _ service: String, _ json: String) throws {
    let place = "\(directory)/\(service)"
    try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: true)
    try json.write(toFile: "\(place)/warp.config.json", atomically: true, encoding: .utf8)
    let result = try runner.istbpf("deploy", "-d", deployment, place)
    #expect(result.status == 0, "\(result.errors)")
  }

  /// Starts an instance of `service` and waits until the front door knows it.
  public func serve(_ service: String, port: Int = 8080) throws -> Conversation {
    let instance = try Self.serve(service, port: port, on: runner)
    let parts = service.split(separator: "/")
    #expect(try runner.eventually { try status("\(parts[1])-\(parts[0])") == "200" })
    return instance
  }

  // MARK: HAProxy

  /// HAProxy's master process, as status has it.
  public func proxy() throws -> Int32 {
    struct Status: Decodable {
      struct Door: Decodable { let pid: Int32? }
      let frontDoor: Door
    }
    let output = try runner.istbpf("status", "--json").output
    return try JSONDecoder().decode(Status.self, from: Data(output.utf8)).frontDoor.pid ?? 0
  }

  /// Which configuration is in effect: another after every reload.
  public func generation() throws -> String {
    try FileManager.default.destinationOfSymbolicLink(
      atPath: "\(runner.installation.runtimeDirectory)/front-door/current")
  }
}
