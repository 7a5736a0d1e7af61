import Foundation
import TestSupport
import Testing

@Suite("The front door of a runner among others", .timeLimit(.minutes(10)))
struct ClusterFrontDoorTests {
  @Test(
    "Requests reach instances of another runner, and nothing that is private or on another port")
  func remote() async throws {
    try await ClusterLaboratory.with { cluster in
      let certificates = "\(cluster.directory)/certificates"
      try FileManager.default.createDirectory(
        atPath: certificates, withIntermediateDirectories: true)
      let issued = try run(
        try Product.istbpf(), "ca", "issue-domain", "shop.test", "--directory",
        "\(cluster.directory)/ca", "--out", certificates)
      #expect(issued.status == 0, "\(issued.errors)")
      cluster[1].killDaemon()
      try cluster[1].startDaemon(wrapper: [
        "env", "ISTBPF_FRONT_DOOR_DOMAIN=shop.test", "ISTBPF_FRONT_DOOR_HTTPS=127.0.0.1:443",
        "ISTBPF_FRONT_DOOR_HTTP=", "ISTBPF_FRONT_DOOR_CERTIFICATES=\(certificates)",
      ])
      let declared = try cluster[1].istbpf(
        "deploy", "-d", "shop", "-s", "app", "-s", "closed:65500")
      #expect(declared.status == 0, "\(declared.errors)")
      #expect(
        try cluster[2].eventually { try cluster[2].istbpf("env", "shop/closed").status == 0 })
      func get(_ service: String, _ arguments: String...) throws -> String {
        try run(
          cluster.enter(1) + [
            "curl", "--silent", "--max-time", "20", "--cacert", "\(cluster.directory)/ca.crt",
            "--resolve", "*:443:127.0.0.1", "--write-out", "%{http_code}",
            "https://\(service)-shop.shop.test/x",
          ] + arguments
        ).output
      }
      #expect(try cluster[1].eventually { try get("app").hasSuffix("503") })
      let app = try FrontDoorLaboratory.serve("shop/app", on: cluster[2])
      let closed = try FrontDoorLaboratory.serve("shop/closed", on: cluster[2])
      #expect(try cluster[1].eventually(within: 15) { try get("app").hasSuffix("200") })
      let answer = try get("app", "--include", "--data", String(repeating: "x", count: 100_000))
      #expect(answer.contains("x-instance: 198.18.1.2") && answer.utf8.count > 100_000)
      #expect(
        try cluster[1].eventually(within: 15) {
          try get("closed")
            == "502 Bad Gateway: no instance of shop/closed accepts connections on port 65500.\n502"
        })
      // The far instance has the request, and gives no answer: it is not asked again.
      for version in ["--http1.1", "--http2"] {
        let once = try run(
          cluster.enter(1) + [
            "curl", "--silent", version, "--max-time", "20", "--cacert",
            "\(cluster.directory)/ca.crt", "--resolve", "*:443:127.0.0.1", "--output", "/dev/null",
            "--write-out", "%{http_code}", "--data", "a=b",
            "https://app-shop.shop.test/close/\(version)",
          ]
        ).output
        #expect(once == "502")
        let seen = try run(
          cluster.enter(1) + [
            "curl", "--silent", "--cacert", "\(cluster.directory)/ca.crt", "--resolve",
            "*:443:127.0.0.1", "https://app-shop.shop.test/seen",
          ]
        ).output
        #expect(seen.split(separator: "/close/\(version) ").count == 2, "\(seen)")
      }
      for instance in [app, closed] { instance.stop() }
      #expect(try cluster[1].eventually(within: 15) { try get("app").hasSuffix("503") })
    }
  }
}
