import EngineTestSupport
import Foundation
import TestSupport
import Testing

@Suite("The table of options of containers", .serialized, .timeLimit(.minutes(20)))
struct ContainerOptionTests {
  @Test("Every option of podman's is refused or does no harm")
  func podman() async throws {
    try await PodmanLaboratory.with { podman in
      try podman.runner.deploy("other", "app")
      try Self.tryAll(PodmanOptions(podman))
    }
  }

  @Test("Every option of Docker's and of containerd's is refused or does no harm")
  func docker() async throws {
    try await DockerLaboratory.with { docker in
      try Self.tryAll(DockerOptions(docker))
    }
  }

  @Test("Every option of containerd's own client is refused or does no harm")
  func containerd() async throws {
    try await DockerLaboratory.with { docker in
      try Self.tryAll(ContainerdOptions(docker))
    }
  }

  @Test("Documentation/container-options.md has every option for each engine, and no other")
  func documentation() throws {
    #expect(try OptionReport.difference() == [])
  }

  private struct Said: Decodable {
    let breaches: [String]
    let outside, neighbour, bounding: String
  }

  private static let probe: String = {
    let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .appendingPathComponent("Programs/options.py")
    return (try? String(contentsOf: file, encoding: .utf8)) ?? "raise SystemExit('no options.py')"
  }()
  private static func probing(_ protected: [String]) -> [String] {
    ["/usr/bin/python3", "-B", "-c", probe] + protected
  }

  private static func tryAll(_ engine: any OptionEngine) throws {
    let stage = try OptionStage(engine)
    var outcomes: [String: String] = [:]
    for option in ContainerOption.all where option.group != .capabilities {
      let title = OptionReport.title(option)
      guard let words = engine.words(of: option)?(stage) else {
        outcomes[title] = OptionReport.none
        continue
      }
      let result = try engine.run(words, probing(option.protected))
      switch option.decision {
      case .refused(let reason):
        let isRefused =
          result.status != 0 && result.errors.contains("istbpf: ") && result.errors.contains(reason)
        #expect(isRefused, "\(title): \(result.status) \(result.output)\(result.errors)")
        outcomes[title] = isRefused ? "refused" : "**not refused**"
      case .harmless:
        outcomes[title] = expectHarmless(result, title) == nil ? "**not harmless**" : "no harm"
      }
    }
    try tryCapabilities(engine, &outcomes)
    try tryExec(stage, &outcomes)
    let instances = try engine.runner.listedInstances()
    #expect(instances.count == 2 && instances.allSatisfy { $0.missingHooks == [] }, "\(instances)")
    if OptionReport.isToBeWritten { try OptionReport.write(outcomes, of: try engine.title) }
  }

  /// What the program said, where nothing of it got out.
  @discardableResult
  private static func expectHarmless(_ result: CommandResult, _ title: String) -> Said? {
    let line = result.output.split(separator: "\n").last ?? ""
    guard let said = try? JSONDecoder().decode(Said.self, from: Data(line.utf8)) else {
      Issue.record("\(title): \(result.status) \(result.output)\(result.errors)")
      return nil
    }
    let isHarmless =
      said.breaches == [] && said.outside == "EPERM" && said.neighbour == "ECONNREFUSED"
    #expect(isHarmless, "\(title): \(line)")
    return isHarmless ? said : nil
  }

  private static func tryCapabilities(
    _ engine: any OptionEngine, _ outcomes: inout [String: String]
  ) throws {
    let machine = try machinesCapabilities()
    let names = ContainerOption.capabilityNames.enumerated()
      .filter { machine >> UInt64($0.offset) & 1 == 1 }.map(\.element)
      .filter { !engine.unknownCapabilities.contains($0) }.map { "CAP_\($0)" }
    let added = engine.knowsAllCapabilities ? ["ALL"] : names
    let result = try engine.run(added.flatMap { ["--cap-add", $0] }, probing([]))
    let said = try #require(expectHarmless(result, "all capabilities"))
    let bits = try #require(UInt64(said.bounding, radix: 16))
    for (number, option) in ContainerOption.capabilities.enumerated() {
      let has = bits >> UInt64(number) & 1 == 1
      // The machine's own root may have fewer.
      let expected = ContainerOption.mayHave(number) && machine >> UInt64(number) & 1 == 1
      #expect(has == expected, "\(option.title)")
      outcomes[OptionReport.title(option)] =
        ContainerOption.mayHave(number) ? "no harm" : "taken away"
    }
  }

  private static func machinesCapabilities() throws -> UInt64 {
    let status = try String(contentsOfFile: "/proc/self/status", encoding: .utf8)
    let line = status.split(separator: "\n").first { $0.hasPrefix("CapBnd:") }
    return try #require(UInt64(line?.split(separator: "\t").last ?? "", radix: 16))
  }

  /// All of `exec --privileged` that could matter are capabilities.
  private static func tryExec(_ stage: OptionStage, _ outcomes: inout [String: String]) throws {
    let option = try #require(ContainerOption.other.last)
    let title = OptionReport.title(option)
    let result = try stage.engine.execute(in: stage.twin.id, probing([]))
    guard let result else { return outcomes[title] = OptionReport.none }
    let said = try #require(expectHarmless(result, title))
    let bits = try #require(UInt64(said.bounding, radix: 16))
    for number in ContainerOption.capabilityNames.indices where bits >> UInt64(number) & 1 == 1 {
      #expect(ContainerOption.mayHave(number), "\(ContainerOption.capabilityNames[number])")
    }
    outcomes[title] = "no harm"
  }
}
