import LinuxSystem
import TestSupport
import Testing

@Suite("The bypass table", .serialized, .timeLimit(.minutes(60)))
struct BypassTableTests {
  @Test(
    "No row gets out, in, across or round, and none of TCP, UDP and raw needs one certain layer")
  func table() async throws {
    let release = try KernelRelease.running()
    var results: [RowResult] = []
    try await Stage.withRunner { runner in
      let stage = try Stage(runner)
      try expectControl(stage)
      for (index, row) in (Row.all + Row.withRules).enumerated() where Report.chooses(row) {
        if index >= Row.all.count { try stage.allowOutside() }
        let result = try stage.attempt(row, port: Stage.rowPorts.lowerBound + index)
        results.append(result)
        expect(result, on: release)
      }
      try expectControl(stage)
      try expectIntact(stage)
    }
    if Report.isToBeWritten { try Report(results, release).write() }
  }

  @Test("Documentation/isolation.md has every row for each kernel, and no other")
  func documentation() throws {
    #expect(try Report.difference() == [])
    #expect(try Report.gaps() == [])
  }

  /// What is allowed is seen: a row that nobody sees means something.
  private func expectControl(_ stage: Stage) throws {
    let actor = try #require(stage.containers.first { $0.mode == .all }).actor
    _ = try stage.victim.tell("got")
    #expect(try actor.tell("attempt", "tcp.service", 0) == "done")
    #expect(try stage.victim.tell("got").contains("198.18.1."))
  }

  /// Nobody's programs, cgroup or process was changed.
  func expectIntact(_ stage: Stage) throws {
    for container in stage.containers where container.mode == .all {
      let now = try stage.runner.listedInstances().first {
        $0.instance == container.instance.instance
      }
      #expect(now?.missingHooks == [])
      #expect(now?.pids == container.instance.pids)
    }
    let status = try SmallFile.read("/proc/\(stage.strangersVictim.program.processID)/status")
    #expect(status.contains("TracerPid:\t0\n"))
    #expect(try stage.strangersVictim.tell("got") == "[]", "nobody of shop reached other/db")
  }

  func expect(_ result: RowResult, on release: KernelRelease) {
    let row = result.row
    for (mode, outcome) in result.outcomes {
      #expect(
        !outcome.answer.hasPrefix("broken") && outcome.answer != "died",
        "\(row.attempt), \(mode.description): \(outcome.answer)")
    }
    if let since = row.since, release < since {
      // What the kernel cannot stop gets nothing out all the same.
      #expect(result.outcomes[.all]?.arrived == [], "\(row.attempt)")
      return
    }
    expectStopped(result, .all)
    for layer in Layer.allCases where result.stoppedAloneBy != [layer] && row.alone == nil {
      expectStopped(result, .without(layer))
    }
    if row.needsTwoLayers, result.isPossible {
      let others = result.outcomes.filter { $0.key.layers.count == 1 && !$0.value.isStopped }
      #expect(
        result.stoppedAloneBy.count >= 2,
        "\(row.attempt): only \(result.stoppedAloneBy); \(others.map { ($0.key.description, $0.value) })"
      )
    }
    expectProof(result)
  }

  private func expectStopped(_ result: RowResult, _ mode: Mode) {
    guard let outcome = result.outcomes[mode] else { return }
    #expect(
      outcome.isStopped,
      "\(result.row.attempt) (\(mode.description)): \(outcome.answer), \(outcome.arrived.prefix(3))"
    )
  }

  /// Without layers the attempt succeeds: it is one that needs them.
  private func expectProof(_ result: RowResult) {
    guard let bare = result.outcomes[.none] else { return }
    let told = "\(result.row.attempt) without layers: \(bare.answer), \(bare.arrived.prefix(3))"
    switch result.row.proof {
    case .arrives, .says: #expect(!bare.isStopped, "\(told)")
    case .whereKernelCan: #expect(!bare.isStopped || bare.isUnknownToKernel, "\(told)")
    case .structure:
      // Without layers a kernel asks for its neighbours when it likes, seconds after the row that needed them.
      let ofRow = Outcome(
        answer: bare.answer, arrived: bare.arrived.filter { $0 != Outcome.neighbourRequest })
      #expect(ofRow.isStopped, "\(told)")
    }
  }
}
