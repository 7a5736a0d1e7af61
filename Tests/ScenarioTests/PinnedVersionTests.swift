import CDataplaneABI
import Foundation
import TestSupport
import Testing

@Suite("State that an other version or configuration pinned", .timeLimit(.minutes(10)))
struct PinnedVersionTests {
  /// Makes what is pinned look as if another version had pinned it.
  private func setVersion(_ version: Int32, _ runner: RunnerLaboratory) throws {
    let map = "\(runner.installation.pinDirectory)/layout"
    let result = try run(
      "bpftool", "map", "update", "pinned", map, "key", "0", "0", "0", "0", "value", "\(version)",
      "0", "0",
      "0")
    #expect(result.status == 0, "\(result.errors)")
  }

  @Test(
    "Another layout, earlier or later, is refused while an instance lives, and replaced when none does",
    arguments: [IST_ABI_VERSION - 1, IST_ABI_VERSION + 1])
  func layout(version: Int32) async throws {
    try await RunnerLaboratory.with { runner in
      try runner.deploy("shop", "app")
      let app = try runner.instance(of: "shop/app")
      try app.listen(8080)
      runner.killDaemon()
      try setVersion(version, runner)

      let refused = try runner.refusedDaemon()
      #expect(refused.status == 1)
      #expect(
        refused.errors.contains(
          "has layout \(version), and this version works with \(IST_ABI_VERSION)"))
      #expect(try app.connect("$WARP_IST_app", 8080) == "shop/app at 198.18.1.2", "it goes on")
      let inspect = try runner.istbpf("inspect")
      #expect(inspect.status == 1 && inspect.errors.contains("has layout \(version)"))

      // It ends while there is no daemon, so nobody takes its entries out.
      app.program.stop()
      try runner.startDaemon()
      #expect(try runner.listedInstances().isEmpty)
      let next = try runner.instance(of: "shop/app")
      try next.listen(8080)
      #expect(try next.connect("$WARP_IST_app", 8080) == "shop/app at 198.18.1.3")
    }
  }

  @Test(
    "What a version before did without is made, and what a later one had besides is left, under what runs"
  )
  func otherMaps() async throws {
    try await RunnerLaboratory.with { runner in
      try runner.deploy("shop", "app", "db")
      let (app, db) = (
        try runner.instance(of: "shop/app"), try runner.instance(of: "shop/db")
      )
      try db.listen(8080)
      _ = try app.tell("hold", "$WARP_IST_db", 8080)
      runner.killDaemon()
      let pins = runner.installation.pinDirectory
      // Maps of the version before have no such names.
      for name in ["observed", "event_rates", "held_polled"] {
        try FileManager.default.removeItem(atPath: "\(pins)/\(name)")
      }
      let later = try run(
        "bpftool", "map", "create", "\(pins)/later", "type", "array", "key", "4", "value", "8",
        "entries", "1", "name", "later")
      #expect(later.status == 0, "\(later.errors)")

      try runner.startDaemon()
      #expect(try runner.listedInstances().map(\.address) == ["198.18.1.2", "198.18.2.2"])
      #expect(try app.tell("echo", "$WARP_IST_db", 8080) == "ping")
      let observed = try runner.observe("--opened", "--denied")
      #expect(try app.connect("$WARP_IST_db", 8080) == "shop/db at 198.18.2.2")
      #expect(try observed.next().event == "opened")
      #expect(try app.connect("192.0.2.1", 80) == "EPERM")
      #expect(try observed.next().event == "denied")
      #expect(FileManager.default.fileExists(atPath: "\(pins)/observed"))
      #expect(FileManager.default.fileExists(atPath: "\(pins)/later"))
      // It goes with the rest.
      for instance in [app, db] { instance.program.stop() }
      runner.killAll()
      #expect(try runner.istbpf("uninstall", "--force").status == 0)
      #expect(!FileManager.default.fileExists(atPath: pins))
    }
  }

  @Test("Another range is refused while an instance lives, and taken when none does")
  func range() async throws {
    try await RunnerLaboratory.with { runner in
      try runner.deploy("shop", "app")
      let app = try runner.instance(of: "shop/app")
      runner.killDaemon()
      let refused = try runner.refusedDaemon(options: ["--range", "10.66.0.0/15"])
      #expect(refused.status == 1)
      #expect(refused.errors.contains("is for the range 198.18.0.0/15, not 10.66.0.0/15"))
      app.program.stop()
      try runner.startDaemon(options: ["--range", "10.66.0.0/15"])
      #expect(try runner.inspect("services").map { $0["address"] } == ["10.66.1.1"])
    }
  }
}
