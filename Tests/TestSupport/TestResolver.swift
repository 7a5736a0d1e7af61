import Foundation
import Testing

/// A DNS server that answers as a test says (`Programs/resolver.py`), on an address of loopback.
public final class TestResolver: Sendable {
  /// How names are answered.
  public struct Answer: Encodable, Sendable {
    /// The mode of the program; `plain` where none is given.
    public var mode: String?
    /// The addresses.
    public var addresses: [String]?
    /// Their time to live, in seconds.
    public var ttl: Int?
    /// Seconds that a late answer takes.
    public var delay: Double?

    /// Addresses with a time to live.
    public static func addresses(_ addresses: [String], ttl: Int = 60) -> Answer {
      Answer(addresses: addresses, ttl: ttl)
    }

    /// What a mode says.
    public static func mode(_ mode: String, delay: Double? = nil) -> Answer {
      Answer(mode: mode, addresses: ["192.0.2.99"], delay: delay)
    }
  }

  private let program: Conversation
  /// A file as /etc/resolv.conf, that names this server alone.
  public let configuration: String
  /// Its address.
  public let address: String

  /// Starts it, in the network namespace that the command `enter` leads to; it ends with the laboratory.
  public init(_ laboratory: NamespaceLaboratory, by enter: [String] = []) throws {
    let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .appendingPathComponent("Programs/resolver.py")
    let program = try Conversation(enter + ["/usr/bin/python3", file.path])
    laboratory.atEnd { program.stop() }
    self.program = program
    address = try program.nextLine()
    let path = "/tmp/\(laboratory.uniqueName("resolv"))"
    configuration = path
    laboratory.atEnd { try? FileManager.default.removeItem(atPath: path) }
    try "nameserver \(address)\n".write(toFile: path, atomically: true, encoding: .utf8)
  }

  /// Says how a name is answered from now on.
  public func say(_ name: String, _ answer: Answer) throws {
    try ask("say", #"["\#(name)",\#(json(answer))]"#)
  }

  /// Says how several are.
  public func say(_ answers: [String: Answer]) throws {
    try ask("say_all", "[\(json(answers))]")
  }

  /// How often a name was asked for.
  public func times(_ name: String) throws -> Int { Int(try ask("times", #"["\#(name)"]"#)) ?? -1 }

  /// How often any was.
  public func total() throws -> Int { Int(try ask("total", "[]")) ?? -1 }

  private func json(_ value: some Encodable) throws -> String {
    String(decoding: try JSONEncoder().encode(value), as: UTF8.self)
  }

  @discardableResult
  private func ask(_ function: String, _ arguments: String) throws -> String {
    let rest = arguments.dropFirst().dropLast()
    return try program.ask("[\"\(function)\"\(rest.isEmpty ? "" : ",")\(rest)]")
  }
}
