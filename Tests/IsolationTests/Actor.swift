import Foundation
import TestSupport

/// A running program of Programs/actor.py.
final class Actor: Sendable {
  let program: Conversation

  /// The directory of the programs.
  static let programs = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .appendingPathComponent("Programs").path

  /// Not the first python3 in PATH, which may be a shim; and it leaves no file behind.
  static let command = ["/usr/bin/python3", "-B", "\(programs)/actor.py"]

  init(_ program: Conversation) throws {
    self.program = program
    let line = try program.nextLine(patience: 120)
    guard line == "ready" else { throw Unexpected(line) }
  }

  /// Has the function `name` begin; `answer` is what comes of it.
  func begin(_ name: String, _ arguments: any Encodable & Sendable...) throws {
    try begin([name] + arguments)
  }

  /// What came of what was begun.
  func answer() throws -> String {
    try program.nextLine(patience: 160 + 20 * Double(slowness))
  }

  /// Has the function `name` done.
  @discardableResult
  func tell(_ name: String, _ arguments: any Encodable & Sendable...) throws -> String {
    try begin([name] + arguments)
    return try answer()
  }

  private func begin(_ words: [any Encodable & Sendable]) throws {
    let parts = try words.map {
      String(
        decoding: try JSONEncoder().encode([Anything($0)]).dropFirst().dropLast(), as: UTF8.self)
    }
    try program.say("[\(parts.joined(separator: ","))]")
  }

  private struct Anything: Encodable {
    let value: any Encodable
    init(_ value: any Encodable) { self.value = value }
    func encode(to encoder: any Encoder) throws { try value.encode(to: encoder) }
  }
}
