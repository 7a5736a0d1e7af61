import Foundation
import GRDB
import Model
import Registry
import RegistrySQLite
import Testing

@Suite struct CrashTests {
  /// Allocates and releases without end, and writes down each number after it was acknowledged:
  /// `+n` taken, `-n` about to be given back. Dies by SIGKILL, at any instruction.
  private static func work(at path: String, log: String, milliseconds: Int) async throws {
    let registry = try SQLiteRegistry(path: path)
    let descriptor = open(log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0o600)
    func note(_ text: String) { _ = text.withCString { write(descriptor, $0, strlen($0)) } }
    var held: [Instance] = []
    var isDying = false
    while true {
      let instance = try await registry.allocateInstance(
        of: service("app"), in: shop, runner: "r1")
      note("+\(instance.number)\n")
      held.append(instance)
      if held.count == 5, !isDying {
        isDying = true
        Thread.detachNewThread {
          usleep(UInt32(milliseconds) * 1000)
          kill(getpid(), SIGKILL)
        }
      }
      if held.count > 5 {
        let oldest = held.removeFirst()
        note("-\(oldest.number)\n")
        try await registry.releaseInstance(oldest)
      }
    }
  }

  @Test(arguments: [1, 20, 45]) func `a kill loses nothing that was acknowledged`(
    milliseconds: Int
  ) async throws {
    let files = try TemporaryRegistry()
    let registry = try files.open()
    _ = try await registry.declare(declarations("app"), in: shop, replace: false)
    try registry.close()
    let log = files.directory + "/log"
    await #expect(processExitsWith: .signal(SIGKILL)) {
      [path = files.path as String, log = log as String, milliseconds = milliseconds as Int] in
      try await Self.work(at: path, log: log, milliseconds: milliseconds)
    }
    var taken: Set<Int> = []
    var given: Set<Int> = []
    let lines = try String(contentsOfFile: log, encoding: .utf8).split(separator: "\n")
    #expect(lines.count >= 5)
    for number in lines.compactMap({ Int($0) }) {
      if number > 0 { taken.insert(number) } else { taken.remove(-number) }
      given = number < 0 ? [-number] : []
    }
    let found = Set(try await files.open().instances(of: shop).map { Int($0.number) })
    // One call may have been under way: a release that was begun, or an allocation not yet told of.
    #expect(taken.isSubset(of: found), "lost: \(taken.subtracting(found))")
    #expect(found.subtracting(taken).subtracting(given).count <= 1)
  }

  @Test func `the journal as a power cut may leave it gives a state that was acknowledged`()
    async throws
  {
    let files = try TemporaryRegistry()
    let registry = try files.open()
    _ = try await registry.declare(declarations("app"), in: shop, replace: false)
    for _ in 0..<10 {
      _ = try await registry.allocateInstance(of: service("app"), in: shop, runner: "r1")
    }
    let whole = try #require(try files.contents()["registry.sqlite-wal"])
    let file = try #require(try files.contents()["registry.sqlite"])
    var counts: [Int] = []
    for length in stride(from: whole.count, to: whole.count / 2, by: -1500) {
      let copy = try TemporaryRegistry()
      try file.write(to: URL(filePath: copy.path))
      try whole.prefix(length).write(to: URL(filePath: copy.path + "-wal"))
      counts.append(try await copy.open().instances().count)
    }
    #expect(counts.first == 10)
    #expect(counts == counts.sorted(by: >))
    #expect(counts.last ?? 10 < 10)
  }
}
