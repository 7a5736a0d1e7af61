import Foundation
import TestSupport
import Testing

@Suite("What a service may connect to outside, on several runners", .timeLimit(.minutes(10)))
struct EgressClusterTests {
  private struct Status: Decodable {
    struct Deployment: Decodable { let services: [Service] }
    struct Service: Decodable {
      let name: String
      let names: [EgressNameTests.Known]
    }
    let deployments: [Deployment]
  }

  private func declare(_ cluster: ClusterLaboratory, _ rule: String) throws {
    let directory = "\(cluster.directory)/app"
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    try #"{"container": "app", "deployment": {"egress": ["\#(rule)"]}}"#.write(
      toFile: "\(directory)/warp.config.json", atomically: true, encoding: .utf8)
    let result = try cluster[1].istbpf("deploy", "-d", "shop", directory)
    #expect(result.status == 0, "\(result.errors)")
  }

  @Test("Neither a name nor a wide rule leads to where another runner takes its tunnels")
  func tunnels() async throws {
    try await ClusterLaboratory.with { cluster in
      let (runner, other) = (cluster[1], ClusterWire.address(2))
      let resolver = try TestResolver(runner.laboratory, by: cluster.enter(1))
      // Runner 3 is not there yet.
      try resolver.say(
        "evil.example.com", .addresses([other, ClusterWire.address(3), ClusterWire.hub], ttl: 1))
      runner.killDaemon()
      try runner.startDaemon(
        wrapper: ["env", "ISTBPF_EGRESS_RESOLV_CONF=\(resolver.configuration)"])
      try declare(cluster, "evil.example.com:*")
      func refused() throws -> [String: String]? {
        let output = try runner.istbpf("status", "--json").output
        return try JSONDecoder().decode(Status.self, from: Data(output.utf8)).deployments
          .flatMap(\.services).first { $0.name == "app" }?.names.first?.refused
      }
      func rules() throws -> [String] {
        try runner.inspect("egress").compactMap { $0["rule"] }.sorted()
      }
      #expect(
        try runner.eventually(within: 20) {
          try rules() == ["\(ClusterWire.hub)/32:*", "\(ClusterWire.address(3))/32:*"]
        })
      #expect(try refused() == [other: "runner runner2 takes its tunnels there"])
      let app = try runner.instance(of: "shop/app")
      #expect(try app.connect(other, 7443) == "EPERM")
      #expect(try app.connect(ClusterWire.address(1), 7443) == "EPERM")

      // One that joins closes what was open.
      try cluster.addRunner().startDaemon()
      #expect(
        try runner.eventually(within: 20) { try rules() == ["\(ClusterWire.hub)/32:*"] })
      #expect(try app.connect(ClusterWire.address(3), 7443) == "EPERM")

      // A network opens it to a container with an interface of its own, and never through the relay.
      try declare(cluster, "10.77.0.0/24:*")
      for number in 1...3 {
        #expect(try app.connect(ClusterWire.address(number), 7443) == "EHOSTUNREACH", "\(number)")
      }
      #expect(try runner.denials("shop/app", "egress-refused") == 3)
      #expect(try app.connect(ClusterWire.hub, 9) == "ECONNREFUSED")
    }
  }
}
