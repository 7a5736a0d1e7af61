import Foundation
import LinuxSystem
import Model
import TestSupport
import Testing

@testable import FrontDoor

@Suite struct ProxyConfigurationTests {
  private func configuration(
    http: SocketAddress? = SocketAddress("0.0.0.0", port: 80), port: UInt16 = 443,
    descriptors: Int = 100_000
  ) throws -> ProxyConfiguration {
    let settings = FrontDoorSettings(
      domain: try #require(DomainName("example.org")),
      https: try #require(SocketAddress("::", port: port)), http: http, certificates: "/nowhere")
    let services = try [("web", 60), ("app", 7200)].map { name, seconds in
      PublicService(
        label: "\(name)-shop", deployment: "shop", hostName: name,
        socketPath: "/run/x/\(name).sock", timeout: try #require(RequestTimeout(seconds: seconds)))
    }
    return ProxyConfiguration(settings, services, descriptors: descriptors)
  }

  private let paths = FrontDoorPaths(.standard)
  private var generation: FrontDoorPaths.Generation { paths.generation(7) }

  @Test func `hosts lead to backends, each with the timeout of its service`() throws {
    let configuration = try configuration()
    #expect(
      configuration.hosts == "app-shop.example.org shop:app\nweb-shop.example.org shop:web\n")
    let text = configuration.text(generation, paths)
    #expect(text.contains("backend shop:app\n  timeout server 7200s\n  timeout tunnel 7200s\n"))
    #expect(text.contains("backend shop:web\n  timeout server 60s\n  timeout tunnel 3600s\n"))
    #expect(text.contains("  server relay unix@/run/x/app.sock\n"))
    #expect(text.contains("string \"504 Gateway Timeout: shop/web sent nothing for 60 s.\\n\""))
    #expect(text.contains("bind ipv6@:::443 ssl crt "))
    #expect(text.contains("redirect code 308 prefix https://%[var(txn.host)]\n"))
  }

  @Test func `another https port is in redirects and URLs, and http may be off`() throws {
    let text = try configuration(port: 8443).text(generation, paths)
    #expect(text.contains("prefix https://%[var(txn.host)]:8443\n"))
    #expect(
      try configuration(port: 8443).settings.url(ofLabel: "a-b") == "https://a-b.example.org:8443/")
    #expect(try !configuration(http: nil).text(generation, paths).contains("frontend http\n"))
  }

  @Test func `clients that wait leave descriptors to the requests, however few there are`() throws {
    for (descriptors, https, http) in [(1_000_000, 20_000, 10_000), (1024, 204, 102)] {
      let text = try configuration(descriptors: descriptors).text(generation, paths)
      #expect(text.contains("  fd-hard-limit \(min(descriptors, 100_000))\n"))
      #expect(text.contains(" alpn h2,http/1.1\n  maxconn \(https)\n"))
      #expect(text.contains("  maxconn \(http)\n"))
    }
  }

  @Test func `HAProxy takes the configuration`() throws {
    let directory = "/tmp/istbpf-haproxy-\(getpid())"
    defer { try? FileManager.default.removeItem(atPath: directory) }
    let generation = FrontDoorPaths.Generation(number: 1, directory: directory)
    try FileManager.default.createDirectory(
      atPath: generation.certificates, withIntermediateDirectories: true)
    let pem = "\(generation.certificates)/a.pem"
    #expect(
      try run(
        "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=a",
        "-keyout", pem + ".key", "-out", pem
      ).status == 0)
    let configuration = try configuration()
    try Data(configuration.hosts.utf8).write(to: URL(fileURLWithPath: generation.hosts))
    try Data(configuration.text(generation, paths).utf8)
      .write(to: URL(fileURLWithPath: generation.configuration))
    let check = try run("haproxy", "-c", "-f", generation.configuration)
    #expect(check.status == 0 && !check.errors.contains("WARNING"), "\(check.errors)")
    // HAProxy bounds the lines of a configuration.
    let lines = configuration.text(generation, paths).split(separator: "\n")
    #expect(lines.allSatisfy { $0.utf8.count < 2000 })
  }

  @Test func `certificates are PEM files, or pairs of certificate and key`() throws {
    let directory = "/tmp/istbpf-certificates-\(getpid())"
    defer { try? FileManager.default.removeItem(atPath: directory) }
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    func write(_ name: String, _ text: String) throws {
      try Data(text.utf8).write(to: URL(fileURLWithPath: "\(directory)/\(name)"))
    }
    let none = #expect(throws: FrontDoorProblem.self) { try CertificateFiles(directory: directory) }
    #expect(none?.description.contains("\(directory) has no certificate") == true)
    try write("README", "x")
    try write("a.pem", "both")
    try write("b.crt", "chain")
    let half = #expect(throws: FrontDoorProblem.self) { try CertificateFiles(directory: directory) }
    #expect(half?.description.contains("b.crt has no b.key") == true)
    try write("b.key", "key")
    #expect(
      try CertificateFiles(directory: directory).files
        == ["a.pem": Data("both".utf8), "b.pem": Data("chain\nkey".utf8)])
    #expect(throws: FrontDoorProblem.self) { try CertificateFiles(directory: "/nowhere") }
  }
}
