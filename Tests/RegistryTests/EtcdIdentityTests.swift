import Foundation
import Model
import Registry
import RegistryEtcd
import Testing

@Suite(.serialized) struct EtcdIdentityTests {
  @Test func `etcd and a runner know each other by certificates`() async throws {
    let server = try await EtcdServer(certificates: EtcdCertificates())
    let tls = EtcdConfiguration.TLS(
      caFile: server.directory + "/ca.pem", certificateFile: server.directory + "/client.pem",
      keyFile: server.directory + "/client.key")
    let registry = try await server.open { $0.tls = tls }
    _ = try await registry.declare(declarations("app"), in: shop, replace: false)
    #expect(try await registry.services(of: shop).count == 1)
    await registry.close()

    func refusal(
      _ runner: String, _ change: (inout EtcdConfiguration) -> Void
    ) async throws -> String {
      let error = await #expect(throws: RegistryError.self) {
        try await server.open(runner) {
          $0.tls = tls
          change(&$0)
        }
      }
      return error?.description ?? ""
    }
    let foreign = try await refusal("r2") { $0.tls.caFile = server.directory + "/other.pem" }
    #expect(foreign.contains("not signed by the configured CA"), "\(foreign)")
    let none = try await refusal("r3") {
      $0.tls = EtcdConfiguration.TLS(caFile: server.directory + "/ca.pem")
    }
    #expect(none.contains("wants one and none is configured"), "\(none)")
    let plain = try await refusal("r5") { $0.endpoints = ["http://127.0.0.1:\(server.port)"] }
    #expect(plain.contains("cannot be reached"), "\(plain)")
    let missing = try await refusal("r6") { $0.tls.caFile = "/nowhere.pem" }
    #expect(missing.contains("/nowhere.pem") && missing.contains("No such file"), "\(missing)")
  }

  @Test func `an etcd with a certificate for another name is refused`() async throws {
    let server = try await EtcdServer(
      certificates: EtcdCertificates(server: "DNS:etcd.example"))
    let error = await #expect(throws: RegistryError.self) {
      try await server.open {
        $0.tls = EtcdConfiguration.TLS(
          caFile: server.directory + "/ca.pem", certificateFile: server.directory + "/client.pem",
          keyFile: server.directory + "/client.key")
      }
    }
    #expect(
      error?.description.contains("another name than the endpoint's") == true,
      "\(String(describing: error))")
  }

  @Test(arguments: [-2, 2])
  func `a certificate that is not valid now is refused on either side and the clock is named`(
    days: Int
  ) async throws {
    for isServers in [true, false] {
      let server = try await EtcdServer(
        certificates: EtcdCertificates(
          serverDays: isServers ? days : 0, clientDays: isServers ? 0 : days))
      let error = await #expect(throws: RegistryError.self) {
        try await server.open {
          $0.tls = EtcdConfiguration.TLS(
            caFile: server.directory + "/ca.pem",
            certificateFile: server.directory + "/client.pem",
            keyFile: server.directory + "/client.key")
        }
      }
      let text = error?.description ?? "it was taken"
      #expect(
        text.contains(isServers ? "not valid by this runner's clock" : "not be valid by its clock"),
        "\(text)")
    }
  }

  @Test func `a runner that writes only under its own prefixes needs no more`() async throws {
    let server = try await EtcdServer()
    let root = "/istbpf/v1/test/"
    try server.ctl("user", "add", "root:secret")
    try server.ctl("role", "add", "root")
    try server.ctl("user", "grant-role", "root", "root")
    // As Documentation/etcd.md has it.
    try server.ctl("role", "add", "istbpf")
    try server.ctl("role", "grant-permission", "istbpf", "read", root, "--prefix")
    for shared in ["services/", "allocations/"] {
      try server.ctl(
        "role", "grant-permission", "istbpf", "readwrite", root + shared, "--prefix")
    }
    try server.ctl("role", "add", "istbpf-r1")
    try server.ctl(
      "role", "grant-permission", "istbpf-r1", "readwrite", root + "runners/r1")
    try server.ctl(
      "role", "grant-permission", "istbpf-r1", "readwrite", root + "endpoints/r1/", "--prefix")
    try server.ctl("user", "add", "r1:word")
    for role in ["istbpf", "istbpf-r1"] { try server.ctl("user", "grant-role", "r1", role) }
    try server.ctl("auth", "enable")

    let one = try await server.open("r1") { $0.user = .init(name: "r1", password: "word") }
    let many = (1...150).map { ServiceDeclaration(name: service("s\($0)")) }
    _ = try await one.declare(many, in: shop, replace: false)
    let instance = try await one.allocateInstance(of: service("s7"), in: shop, runner: "r1")
    #expect(try await one.releaseInstance(instance))
    _ = try await one.declare([], in: shop, replace: true)
    #expect(try await one.currentView().condition == ClusterCondition())
    await one.close()

    // With the same rights it cannot be another runner.
    let other = await #expect(throws: RegistryError.self) {
      try await server.open("r2") { $0.user = .init(name: "r1", password: "word") }
    }
    guard case .denied(_, let detail) = other else {
      Issue.record("\(String(describing: other))")
      return
    }
    #expect(detail.contains("permission denied"))
    for user in [nil, EtcdConfiguration.User(name: "r1", password: "wrong")] {
      let error = await #expect(throws: RegistryError.self) {
        try await server.open("r3") { $0.user = user }
      }
      guard case .denied = error else {
        Issue.record("\(String(describing: error))")
        return
      }
    }
  }

  @Test func `endpoints that are none are refused with the reason`() async throws {
    for url in [
      "etcd:2379", "https://", "http://a:0", "http://a:x", "http://a/b", "https://user@a:1", "",
    ] {
      let directory = try TemporaryRegistry()
      let error = await #expect(throws: RegistryError.self) {
        try await EtcdRegistry.open(
          EtcdConfiguration(
            endpoints: [url], cluster: "c", runner: "r", address: "",
            stateDirectory: directory.directory), logger: quiet)
      }
      #expect(error?.description.contains("it is no URL of an etcd server") == true, "\(url)")
    }
  }
}
