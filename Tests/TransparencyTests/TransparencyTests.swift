import TestSupport
import Testing

@Suite("No program can tell", .serialized, .timeLimit(.minutes(60 * slowness)))
struct TransparencyTests {
  @Test(
    "A program sees what it sees on a plain network", arguments: [Path.oneRunner, .acrossRunners])
  func comparison(path: Path) async throws {
    let table = try Table.read()
    let cases = try table.chosen()
    let direct = try await Self.direct.value
    let here = try await Run.transcripts(cases, path)
    for each in cases where !each.isCut || path != .oneRunner {
      let plain = try #require(direct[each.key])
      let stopped = plain.labels.filter { $0.hasSuffix(": stopped") }
      #expect(stopped == [], "\(each.key), direct: \(stopped.compactMap { plain.seen[$0] })")
      compare(each, path, plain, try #require(here[each.key]), table.known(of: each, on: path))
    }
  }

  /// One run for both paths.
  private static let direct = Task {
    try await Run.transcripts(try Table.read().chosen(), .direct)
  }

  private func compare(
    _ each: Case, _ path: Path, _ direct: Transcript, _ here: Transcript,
    _ known: [KnownDifference]
  ) {
    let differences = direct.differences(from: here)
    for label in differences {
      let isKnown = known.contains { $0.labels.isEmpty || $0.labels.contains(label) }
      let told =
        "\(each.key) (\(each.title)), \(path.rawValue), \(label): "
        + "direct \(direct.seen[label] ?? "nothing"), here \(here.seen[label] ?? "nothing")"
      print("\(isKnown ? "known" : "new") difference: \(told)")
      #expect(isKnown, "\(told)")
    }
    for one in known where one.isCertain {
      let isThere =
        one.labels.isEmpty ? !differences.isEmpty : one.labels.allSatisfy(differences.contains)
      #expect(
        isThere,
        "\(each.key), \(path.rawValue): a known difference that does not show: \(one.reason)")
    }
  }

  @Test("Documentation/transparency.md has every case and every known difference")
  func documentation() throws {
    let table = try Table.read()
    let keys = Set(table.cases.map(\.key))
    #expect(table.known.map(\.key).filter { !keys.contains($0) } == [])
    let text = Report(table: table).text
    if Report.isToBeWritten {
      try text.write(to: Report.file, atomically: false, encoding: .utf8)
    }
    #expect(
      try String(contentsOf: Report.file, encoding: .utf8) == text,
      "write it anew: Scripts/test transparent --write")
  }
}
