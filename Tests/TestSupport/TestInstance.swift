import Foundation

/// An instance whose program (`Programs/agent.py`) does what a test says.
///
/// Where an action fails, what it returns is the errno's name, or `timeout`.
public final class TestInstance: Sendable {
  /// The program, which waits for what to do.
  public let program: Conversation

  /// The command of every such instance. Not the first python3 in PATH, which may be a shim that
  /// takes long or that only root can run.
  public static var command: [String] { ["/usr/bin/python3", "-c", agent] }

  private static let agent: String = {
    let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .appendingPathComponent("Programs/agent.py")
    return (try? String(contentsOf: file, encoding: .utf8)) ?? "raise SystemExit('no agent.py')"
  }()

  /// Starts the same program as no instance, in the network namespace that the command `enter` leads
  /// to: for what is outside.
  public static func outsider(
    by enter: [String], of laboratory: NamespaceLaboratory
  ) throws -> TestInstance {
    let conversation = try Conversation(enter + command)
    laboratory.atEnd { conversation.stop() }
    return try TestInstance(conversation)
  }

  /// Waits until the program is up.
  public init(_ program: Conversation) throws {
    self.program = program
    _ = try program.nextLine()
  }

  /// Its process.
  public var processID: Int32 { program.processID }

  /// Does what the function `name` of the program does.
  public func tell(_ name: String, _ arguments: any Encodable & Sendable...) throws -> String {
    var parts = ["\"\(name)\""]
    for argument in arguments {
      let json = try JSONEncoder().encode([AnyEncodable(argument)])
      parts.append(String(decoding: json.dropFirst().dropLast(), as: UTF8.self))
    }
    return try program.ask("[\(parts.joined(separator: ","))]", patience: 300)
  }

  /// Listens on a port with as many sockets as `times` says.
  /// For IPv6 alone where `isIPv6Only`.
  public func listen(
    _ port: Int, on host: String = "0.0.0.0", times: Int = 1, isIPv6Only: Bool = false
  ) throws {
    let answer = try tell("listen", port, host, times, isIPv6Only)
    guard answer == "listening" else { throw Conversation.Silence(description: answer) }
  }

  /// Connects, and returns who answers: `shop/db at 198.18.2.2`.
  public func connect(_ host: String, _ port: Int) throws -> String {
    try tell("connect", host, port)
  }

  /// Connects as often as `times` says, and returns how many connections each that answered had.
  public func tally(_ host: String, _ port: Int, times: Int) throws -> [String: Int] {
    try JSONDecoder().decode(
      [String: Int].self, from: Data(try tell("tally", host, port, times).utf8))
  }

  private struct AnyEncodable: Encodable {
    let value: any Encodable
    init(_ value: any Encodable) { self.value = value }
    func encode(to encoder: any Encoder) throws { try value.encode(to: encoder) }
  }
}
