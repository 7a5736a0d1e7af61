import LinuxSystem
import TestSupport
import Testing

extension BypassTableTests {
  @Test("Between two runners no row gets through either, to their ports or their instances")
  func runners() async throws {
    let release = try KernelRelease.running()
    var results: [RowResult] = []
    try await ClusterLaboratory.with { cluster in
      let stage = try Stage(cluster[1])
      let other = try OtherRunner(cluster, stage)
      try expectControl(stage, other)
      for (index, row) in Row.runners.enumerated() {
        let result = try stage.attempt(row, port: Stage.rowPorts.lowerBound + index)
        results.append(result)
        expect(result, on: release)
        if ["across.tunnel", "across.datagram_to_runner"].contains(row.program) {
          let bare = try #require(result.outcomes[.none])
          #expect(
            bare.arrived.contains { $0.hasPrefix("at the runner") },
            "without layers the way to the other runner is open: \(bare.arrived)")
        }
        let got = try other.got()
        #expect(got == [], "\(row.attempt): \(got)")
      }
      try expectControl(stage, other)
      try expectIntact(stage)
    }
    if Report.isToBeWritten { try Report(results, release).write() }
  }

  @Test("Every row of a container holds as well where its victim is on the other runner")
  func victimOnTheOtherRunner() async throws {
    let release = try KernelRelease.running()
    try await ClusterLaboratory.with { cluster in
      let stage = try Stage(cluster[1], modes: [.all])
      let other = try OtherRunner(cluster, stage)
      try other.become(victimOf: stage)
      try expectControl(stage, other)
      let container = try #require(stage.containers.first)
      for (index, row) in Row.all.enumerated() where row.side == .container {
        if let since = row.since, release < since { continue }
        let outcome = try #require(
          try stage.attempt(row, port: Stage.rowPorts.lowerBound + index).outcomes[.all])
        #expect(
          outcome.isStopped, "\(row.attempt): \(outcome.answer), \(outcome.arrived.prefix(3))")
        // To connect as itself it may.
        let got = try other.got().filter { $0 != "tcp from \(container.instance.address)" }
        #expect(got == [], "\(row.attempt): \(got)")
      }
      try expectControl(stage, other)
    }
  }

  private func expectControl(_ stage: Stage, _ other: OtherRunner) throws {
    let container = try #require(stage.containers.first { $0.mode == .all })
    _ = try other.got()
    #expect(try container.actor.tell("attempt", "across.control", 0) == "done")
    #expect(try other.got() == ["tcp from \(container.instance.address)"])
  }
}
