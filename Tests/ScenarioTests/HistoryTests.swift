import Foundation
import Model
import TestSupport
import Testing

@testable import Runner

@Suite("What happened in the last hour", .timeLimit(.minutes(5)))
struct HistoryTests {
  private func look(_ sent: UInt64, denials: UInt64 = 0) throws -> HistoryLog.Look {
    let address = try #require(IPv4Address("198.18.2.2"))
    return HistoryLog.Look(sent: [address: (2, sent)], denials: denials == 0 ? [:] : [2: denials])
  }

  @Test("A step has the differences of counters, also of those that began anew")
  func differences() throws {
    let shop = try DeploymentName("shop")
    var log = HistoryLog()
    for (time, sent, denials) in [(1000, 50, 3), (1010, 150, 3), (1020, 150, 3), (1030, 20, 5)] {
      log.add([shop: try look(UInt64(sent), denials: UInt64(denials))], at: Int64(time))
    }
    #expect(
      log.steps(of: shop) == [
        HistoryLog.Step(time: 1000, services: [2: .init(sent: 100)]),
        HistoryLog.Step(time: 1020, services: [2: .init(sent: 20, denials: 2)]),
      ])
    #expect(log.steps(of: try DeploymentName("other")).isEmpty)
  }

  @Test("An hour is kept, and nothing of a deployment that did nothing in it")
  func bounds() throws {
    let shop = try DeploymentName("shop")
    var log = HistoryLog()
    for step in 0..<800 { log.add([shop: try look(UInt64(step))], at: Int64(step) * 10) }
    #expect(log.steps(of: shop).count == 360)
    #expect(log.steps(of: shop).first?.time == 4390 && log.steps(of: shop).last?.time == 7980)
    log.add([:], at: 7990 + 3601)
    #expect(log.steps(of: shop).isEmpty)
  }

  @Test("The page is told of what passed before it was opened")
  func page() async throws {
    try await RunnerLaboratory.with { runner in
      try runner.deploy("shop", "app", "db")
      let (db, app) = (try runner.instance(of: "shop/db"), try runner.instance(of: "shop/app"))
      try db.listen(3211)
      // From the second look on there is something to compare with.
      #expect(
        try runner.eventually(within: 40) {
          _ = try app.tell("exchange", "$WARP_IST_db", 3211, 100_000, 1000, true)
          _ = try app.connect("192.0.2.1", 443)
          let page = try Conversation(runner.commandLine(["ui"]))
          defer { page.stop() }
          let parts = try page.nextLine(patience: 20).split(separator: "#")
          let feed = try run(
            "curl", "--silent", "--noproxy", "*", "--max-time", "2", "--header",
            "Authorization: Bearer \(parts[1])", "\(parts[0])api/feed?deployment=shop"
          ).output
          return feed.contains(#""service":"app","sent":"#) && feed.contains(#""denials":"#)
        })
    }
  }
}
