import TestSupport
import Testing

@Suite("Connections between runners are shown on both", .timeLimit(.minutes(10)))
struct ObserveClusterTests {
  @Test("The caller's runner shows who called, the other one what it was asked, each once")
  func bothEnds() async throws {
    try await ClusterLaboratory.with { cluster in
      try cluster.deploy("shop", "app", "db")
      let app = try cluster.instance(of: "shop/app", on: 1)
      let db = try cluster.instance(of: "shop/db", on: 2)
      try db.listen(3211)
      let (near, far) = (try cluster[1].observe(), try cluster[2].observe())
      let greeting = "shop/db at 198.18.2.2\n".utf8.count
      #expect(
        try app.tell("exchange", "198.18.2.2", 3211, 1000, 1000 + greeting, true) == "exchanged")
      for observed in [near, far] {
        let (opened, closed) = (try observed.next(), try observed.next())
        #expect(opened.event == "opened" && closed.event == "closed")
        #expect(opened.source?.name == "shop/app.2" && opened.destination?.name == "shop/db.2")
        #expect(opened.destination?.port == 3211 && opened.source == closed.source)
        #expect(observed.rest(patience: 0.5).isEmpty)
        let isNear = observed === near
        #expect(opened.pid == (isNear ? app.processID : nil))
        #expect(closed.sent == (isNear ? 1000 : 1000 + greeting), "each counts from its own end")
        #expect(closed.received == (isNear ? 1000 + greeting : 1000))
      }
    }
  }
}
