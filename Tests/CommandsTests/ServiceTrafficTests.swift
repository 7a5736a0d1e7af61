import ControlAPI
import Testing

@testable import Commands

@Suite("What istbpf top makes of connections and events")
struct ServiceTrafficTests {
  private typealias Traffic = Istbpf_Control_V1_GetTrafficResponse

  private let deployment = Istbpf_Control_V1_DeploymentStatus.with {
    $0.name = "shop"
    // A service whose name is like an instance's.
    $0.services = ["app", "db", "db.2"].map { name in .with { $0.name = name } }
    $0.instances = [.with { $0.service = "db" }, .with { $0.service = "app" }]
  }

  private func connection(sent: UInt64, received: UInt64) -> Traffic {
    .with {
      $0.connections = [
        .with {
          $0.local = .with { ($0.name, $0.address, $0.port) = ("shop/app.2", "198.18.1.2", 40000) }
          $0.peer = .with { ($0.name, $0.address, $0.port) = ("shop/db.3", "198.18.2.3", 5432) }
          ($0.sent, $0.received) = (sent, received)
        }
      ]
      $0.listening = [.with { ($0.instance, $0.ports) = ("shop/db.3", [5432]) }]
    }
  }

  private func row(_ name: String, _ rows: [ServiceTraffic.Row]) throws -> ServiceTraffic.Row {
    try #require(rows.first { $0.service == name })
  }

  @Test("Rates are differences of two looks, at both ends, and count what ended between them")
  func rates() throws {
    var traffic = ServiceTraffic()
    let start = ContinuousClock.now
    let first = traffic.look([deployment], [connection(sent: 1000, received: 50)], at: start)
    #expect(first.count == 3 && first.allSatisfy { $0.sent == 0 && $0.opened == 0 })
    #expect(try row("shop/app", first).outgoing == 1 && row("shop/app", first).incoming == 0)
    let db = try row("shop/db", first)
    #expect(db.incoming == 1 && db.listening == 1 && db.instances == 1)
    let second = traffic.look(
      [deployment], [connection(sent: 3000, received: 150)], at: start + .seconds(2))
    #expect(try row("shop/app", second).sent == 1000 && row("shop/app", second).received == 50)
    #expect(try row("shop/db", second).received == 1000 && row("shop/db", second).sent == 50)
    // It ends, having sent 500 more, and one opens and ends that no look has seen.
    let ends = connection(sent: 0, received: 0).connections[0]
    for (port, sent) in [(ends.local.port, 3500), (50000, 10)] {
      traffic.add(
        .with {
          ($0.local, $0.peer) = (ends.local, ends.peer)
          $0.local.port = port
          $0.opened = .init()
        })
      traffic.add(
        .with {
          ($0.local, $0.peer) = (ends.local, ends.peer)
          $0.local.port = port
          $0.closed = .with { ($0.sent, $0.received) = (UInt64(sent), 150) }
        })
    }
    let third = traffic.look([deployment], [Traffic()], at: start + .seconds(3))
    #expect(try row("shop/app", third).sent == 510 && row("shop/app", third).outgoing == 0)
    #expect(try row("shop/db", third).opened == 2 && row("shop/db", third).sent == 150)
    #expect(try row("shop/db.2", third) == ServiceTraffic.Row(service: "shop/db.2"))
  }

  @Test("Denials are those since the look before, and all")
  func denials() throws {
    var traffic = ServiceTraffic()
    let start = ContinuousClock.now
    var deployment = deployment
    deployment.services[0].denials = [.with { ($0.reason, $0.count) = ("udp", 7) }]
    #expect(try row("shop/app", traffic.look([deployment], [], at: start)).denied == 0)
    deployment.services[0].denials[0].count = 11
    let found = try row("shop/app", traffic.look([deployment], [], at: start + .seconds(2)))
    #expect(found.denied == 2 && found.denials == 11)
  }

  @Test("The most comes first, and names decide between equals")
  func order() {
    var (a, b, c) = (
      ServiceTraffic.Row(service: "a"), ServiceTraffic.Row(service: "b"),
      ServiceTraffic.Row(service: "c")
    )
    (a.sent, b.incoming, c.denials) = (5, 3, 2)
    (b.denied, c.received) = (1, 6)
    func sorted(_ order: ServiceTraffic.Order) -> [String] {
      [c, b, a].sorted(by: order.precedes).map(\.service)
    }
    #expect(sorted(.service) == ["a", "b", "c"])
    #expect(sorted(.connections) == ["b", "a", "c"])
    #expect(sorted(.bytes) == ["c", "a", "b"])
    #expect(sorted(.denials) == ["b", "c", "a"], "those of now before all")
  }
}
