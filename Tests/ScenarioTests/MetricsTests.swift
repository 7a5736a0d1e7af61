import Foundation
import Glibc
import TestSupport
import Testing

@testable import Runner

@Suite("What the daemon tells of itself", .timeLimit(.minutes(10)))
struct MetricsTests {
  @Test("Metrics count tunnels, connections, bytes, refusals and denials, on both runners")
  func counted() async throws {
    try await ClusterLaboratory.with { cluster in
      try cluster.deploy("shop", "app", "db")
      let app = try cluster.instance(of: "shop/app", on: 1)
      try cluster.instance(of: "shop/db", on: 2).listen(3211)
      #expect(try app.tell("hold", "$WARP_IST_db", 3211) == "shop/db at 198.18.2.2")
      #expect(try app.tell("echo", "$WARP_IST_db", 3211) == "ping")
      #expect(try app.connect("$WARP_IST_db", 9) == "ECONNREFUSED")
      #expect(try app.connect("192.0.2.1", 80) == "EPERM")

      let text = try cluster.get("/metrics", from: 1)
      #expect(text.hasPrefix("200\n# HELP istbpf_build_info "))
      let own = #"{deployment="shop",service="app""#
      for line in [
        "istbpf_streams 1", "istbpf_streams_opened_total 1", "istbpf_streams_refused_total 1",
        "istbpf_tunnel_sent_bytes_total 4", "istbpf_registry_current 1",
        "istbpf_registry_held_instances 0", "istbpf_cluster_runners 2",
        "istbpf_cluster_instances 2", "istbpf_instances\(own)} 1",
        #"istbpf_denials_total\#(own),reason="foreign-address"} 1"#,
      ] { #expect(text.contains("\n\(line)\n"), "\(line) is not in \(text)") }
      #expect(
        try cluster.get("/metrics", from: 2).contains("\nistbpf_streams_accepted_total 1\n"))
    }
  }

  @Test("Status, doctor and metrics say alike whether the kernel encrypts tunnels, and why not")
  func encryption() async throws {
    try await ClusterLaboratory.with { cluster in
      try cluster.deploy("shop", "app", "db")
      let app = try cluster.instance(of: "shop/app", on: 1)
      try cluster.instance(of: "shop/db", on: 2).listen(3211)
      #expect(try app.tell("hold", "$WARP_IST_db", 3211) == "shop/db at 198.18.2.2")

      let report = try JSONDecoder().decode(
        Report.self, from: Data(try cluster[1].istbpf("status", "--json").output.utf8)
      ).cluster
      let inKernel = report.kernelTLS
      #expect(inKernel == report.kernelTLSProblem.isEmpty)
      #expect((inKernel ? report.kernelTunnels : report.userSpaceTunnels) > 0)
      #expect((inKernel ? report.userSpaceTunnels : report.kernelTunnels) == 0)
      for runner in [1, 2] {
        // Not only what the daemon says: the kernel's own count of what is open in the namespace.
        let kernel = try TLSCounters(by: cluster.enter(runner))
        #expect(kernel?["TlsCurrTxSw"] ?? 0 >= report.kernelTunnels, "runner \(runner)")
        #expect(kernel?["TlsCurrRxSw"] ?? 0 >= report.kernelTunnels, "runner \(runner)")
        #expect(kernel?["TlsDecryptError"] ?? 0 == 0)
        #expect(inKernel || kernel?["TlsCurrTxSw"] ?? 0 == 0, "runner \(runner)")
      }
      #expect(report.streams == 1)
      #expect(report.runners.map(\.name) == ["runner1", "runner2"])
      #expect(report.runners.map(\.instances) == [1, 1])

      let status = try cluster[1].istbpf("status").output
      #expect(
        status.contains(inKernel ? "encrypted by the kernel" : "encrypted by istbpf-relay: the "))
      let metrics = try cluster.get("/metrics", from: 1)
      #expect(metrics.contains("\nistbpf_kernel_tls \(inKernel ? 1 : 0)\n"))
      let tunnels = inKernel ? report.kernelTunnels : report.userSpaceTunnels
      let mode = inKernel ? "kernel" : "user_space"
      #expect(metrics.contains("\nistbpf_tunnels{mode=\"\(mode)\"} \(tunnels)\n"), "\(metrics)")
      let doctor =
        try cluster[1].istbpf("doctor").output.split(separator: "\n")
        .first { $0.contains("kernel TLS") } ?? ""
      #expect(doctor.hasPrefix(inKernel ? "found" : "note"), "\(doctor)")
      #expect(inKernel || doctor.contains("modprobe"), "\(doctor)")
    }
  }

  @Test("A configuration can keep encryption out of the kernel, and status says why it is")
  func keptOutOfTheKernel() async throws {
    try await ClusterLaboratory.with(kernelTLS: false) { cluster in
      try cluster.deploy("shop", "app", "db")
      let app = try cluster.instance(of: "shop/app", on: 1)
      try cluster.instance(of: "shop/db", on: 2).listen(3211)
      #expect(try app.tell("hold", "$WARP_IST_db", 3211) == "shop/db at 198.18.2.2")
      let status = try cluster[1].istbpf("status").output
      #expect(status.contains("the configuration says so (tunnel.kernelTLS)"), "\(status)")
      for runner in [1, 2] {
        let kernel = try TLSCounters(by: cluster.enter(runner))
        #expect(kernel?["TlsCurrTxSw"] ?? 0 == 0, "runner \(runner)")
      }
    }
  }

  private struct Report: Decodable {
    struct Cluster: Decodable {
      let kernelTLS: Bool
      let kernelTLSProblem: String
      let kernelTunnels: Int
      let userSpaceTunnels: Int
      let streams: Int
      let runners: [Runner]
    }
    struct Runner: Decodable {
      let name: String
      let instances: Int
    }
    let cluster: Cluster
  }

  @Test("A runner that is alone says what it has, and that an instance is not guarded")
  func alone() async throws {
    try await RunnerLaboratory.withoutDaemon { runner in
      let address = Self.freeAddress()
      try runner.startDaemon(wrapper: ["env", "ISTBPF_METRICS_ADDRESS=\(address)"])
      try runner.deploy("shop", "app")
      _ = try runner.instance(of: "shop/app")
      #expect(try HTTP.get("http://\(address)/healthz") == "200\nok\n")
      let metrics = try HTTP.get("http://\(address)/metrics")
      #expect(metrics.contains("\nistbpf_instances{deployment=\"shop\",service=\"app\"} 1\n"))
      #expect(!metrics.contains("istbpf_tunnels"), "it has none")

      let fabric = "\(runner.installation.fabricPrefix)shop"
      let link = try #require(
        try run("ip", "-br", "-n", fabric, "link").output.split(separator: "\n")
          .first { $0.hasPrefix("app-") }?.prefix { $0 != "@" && $0 != " " })
      try run("tc", "-n", fabric, "filter", "delete", "dev", String(link), "ingress")
      #expect(
        try HTTP.get("http://\(address)/healthz")
          == "503\nshop/app.2 is not guarded: see istbpf status\n")
    }
  }

  @Test("An address that is none, not on loopback, or taken, is named")
  func badAddress() async throws {
    try await RunnerLaboratory.withoutDaemon { runner in
      let taken = Self.freeAddress()
      try runner.startDaemon(wrapper: ["env", "ISTBPF_METRICS_ADDRESS=\(taken)"])
      try runner.withNeighbour(daemon: false) { other in
        for (address, problem) in [
          ("9464", "is no IP address with a port"), ("192.0.2.1:9464", "is not on loopback"),
          (taken, "cannot be used"),
        ] {
          let result = try other.refusedDaemon(
            wrapper: ["env", "ISTBPF_METRICS_ADDRESS=\(address)"])
          #expect(result.status == 1)
          #expect(
            result.errors.contains("metrics.address") && result.errors.contains(problem),
            "\(result.errors)")
        }
      }
    }
  }

  @Test("Values of labels are escaped as the format wants it")
  func escaped() {
    var text = MetricsText()
    text.add(.gauge, "a", "B.", [.init(7, ["c": "d\\e\"f\ng"])])
    #expect(text.text == "# HELP a B.\n# TYPE a gauge\na{c=\"d\\\\e\\\"f\\ng\"} 7\n")
  }

  /// An address on loopback that no other process of tests has: the process's id is in it.
  private static func freeAddress() -> String {
    let process = getpid()
    return "127.\(100 + process >> 16 & 0x7f).\(process >> 8 & 0xff).\(process & 0xff):"
      + "\(UInt16.random(in: 9000...29000))"
  }
}
