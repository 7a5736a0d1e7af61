import Foundation
import TestSupport
import Testing

@testable import ServiceLog

@Suite("The archive for a bug report", .timeLimit(.minutes(10)))
struct ReportTests {
  /// The files of an archive, by their names, which are below one directory.
  private func contents(_ archive: String) throws -> [String: String] {
    let place = archive + ".d"
    try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: place) }
    let result = try run("tar", "-xzf", archive, "-C", place, "--strip-components", "1")
    #expect(result.status == 0, "\(result.errors)")
    var files: [String: String] = [:]
    for name in try FileManager.default.contentsOfDirectory(atPath: place) {
      let path = "\(place)/\(name)"
      files[name] = try String(contentsOfFile: path, encoding: .utf8)
      #expect(
        try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int == 0o600)
    }
    return files
  }

  @Test("It has what a bug report needs, and none of the secrets that are on the machine")
  func secrets() async throws {
    try await RunnerLaboratory.withoutDaemon { runner in
      let place = "/tmp/\(runner.installation.name)"
      defer { try? FileManager.default.removeItem(atPath: place) }
      try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: true)
      // Each secret has a name of its own, so that a failure says which got out and where.
      let planted = [
        "PLANTED-etcd/password\"1", "PLANTED-url-password", "PLANTED-private-key",
        "PLANTED-instance-token",
        "PLANTED-instance-argument", "PLANTED-unknown-key", "PLANTED-environment-password",
        "PLANTED-log-password",
        "PLANTED-etcd-user",
      ]
      let key = "-----BEGIN PRIVATE KEY-----\nPLANTED-private-key\n-----END PRIVATE KEY-----\n"
      try key.write(toFile: "\(place)/own.key", atomically: true, encoding: .utf8)
      let configuration: [String: Any] = [
        "cluster": "prod", "passwrd": "PLANTED-unknown-key", "selection": "spread",
        "etcd": [
          "endpoints": ["https://root:PLANTED-url-password@192.0.2.1:2379"],
          "user": "PLANTED-etcd-user",
          "password": "PLANTED-etcd/password\"1",
        ],
        "tunnel": ["address": "192.0.2.7:7443", "key": "\(place)/own.key"],
      ]
      let file = "\(place)/config.json"
      try JSONSerialization.data(withJSONObject: configuration).write(
        to: URL(fileURLWithPath: file))
      try runner.startDaemon(wrapper: ["env", "ISTBPF_ETCD_PASSWORD=PLANTED-environment-password"])
      try runner.deploy("shop", "app")
      let app = try runner.start(
        "shop/app", options: ["--env", "TOKEN=PLANTED-instance-token"], "sh", "-c",
        "echo; read word", "PLANTED-instance-argument")
      _ = try app.nextLine()
      let denied = try runner.instance(of: "shop/app")
      #expect(try denied.connect("192.0.2.9", 80) == "EPERM")
      #expect(
        try runner.eventually {
          try runner.istbpf("observe", "--recent").output.contains("192.0.2.9:80")
        })
      // What an error of etcd's client, or of a program that it calls, may say.
      let log = try FileHandle(
        forWritingTo: URL(fileURLWithPath: "\(runner.installation.runtimeDirectory)/log"))
      try log.seekToEnd()
      try log.write(
        contentsOf: Data(
          """
          etcd: https://root:PLANTED-log-password@192.0.2.1:2379: refused
          etcd: password PLANTED-etcd/password"1, {"password":"PLANTED-etcd\\/password\\"1"}, PLANTED-etcd%2Fpassword%221
          \(key)
          """.utf8))

      let archive = "\(place)/report.tar.gz"
      let made = try runner.istbpf("report", "--output", archive, "--config", file)
      #expect(made.status == 0, "\(made.errors)")
      #expect(
        try FileManager.default.attributesOfItem(atPath: archive)[.posixPermissions] as? Int
          == 0o600)
      let files = try contents(archive)
      for secret in planted {
        for (name, text) in files { #expect(!text.contains(secret), "\(secret) is in \(name)") }
        #expect(!(made.output + made.errors).contains(secret), "\(secret)")
      }
      for (name, text) in files { #expect(!text.contains("PLANTED"), "\(name): \(text)") }
      for (name, part) in [
        ("versions.txt", "istbpfd, process "), ("configuration.txt", "cluster = prod [\(file)]\n"),
        ("configuration.txt", "etcd.endpoints = https://[removed]@192.0.2.1:2379"),
        ("configuration.txt", "etcd.password = (set, not shown) [ISTBPF_ETCD_PASSWORD]"),
        ("configuration.txt", "etcd.user = (set, not shown)"),
        ("configuration.txt", "tunnel.key = \(place)/own.key"),
        ("configuration.txt", "and 1 keys that are none of istbpf's"),
        ("status.json", "\"shop/app.2\""), ("doctor.txt", "kernel TLS"), ("ps.json", "shop/app.2"),
        ("inspect.json", "\"fabric_links\""), ("events.jsonl", "\"reason\":\"foreign-address\""),
        ("log.txt", " ready\n"), ("log.txt", "etcd: https://[removed]@192.0.2.1"),
        ("kernel.txt", "# /proc/version\nLinux"), ("kernel.txt", "Max open files"),
        ("timings.txt", "istbpf status: "), ("missing.txt", "metrics.address is not set"),
      ] {
        #expect(files[name]?.contains(part) == true, "\(name): \(files[name] ?? "is not there")")
      }
      // It says what is in it, and where it lies.
      #expect(made.output.contains("wrote \(archive)"))
      for name in files.keys { #expect(made.output.contains("  \(name): "), "\(name)") }

      let again = try runner.istbpf("report", "--output", archive)
      #expect(again.status == 1 && again.errors.contains("exists already"))
      app.stop()
    }
  }

  @Test("It works while the daemon is down, and says what is missing")
  func down() async throws {
    try await RunnerLaboratory.with { runner in
      try runner.deploy("shop", "app")
      _ = try runner.instance(of: "shop/app")
      runner.killDaemon()
      let archive = "/tmp/\(runner.installation.name).tar.gz"
      defer { try? FileManager.default.removeItem(atPath: archive) }
      let made = try runner.istbpf("report", "--output", archive)
      #expect(made.status == 0, "\(made.errors)")
      #expect(made.output.contains("missing: istbpfd does not run"), "\(made.output)")
      #expect(made.output.contains("missing: istbpf status failed: "), "\(made.output)")
      let files = try contents(archive)
      #expect(files["missing.txt"]?.contains("istbpf ps failed: ") == true)
      #expect(files["inspect.json"]?.contains("\"fabric_links\"") == true)
      #expect(files["log.txt"]?.contains(" ready\n") == true)
      #expect(files["doctor.txt"]?.contains("systemctl start istbpfd") == true)
      #expect(files["status.json"] == nil)
    }
  }

  @Test("observe --recent shows what happened before, and ends")
  func recent() async throws {
    try await RunnerLaboratory.with { runner in
      try runner.deploy("shop", "app")
      try runner.deploy("other", "app")
      let app = try runner.instance(of: "shop/app")
      #expect(try app.connect("192.0.2.1", 80) == "EPERM")
      #expect(
        try runner.eventually {
          try runner.istbpf("observe", "--recent").output.contains("192.0.2.1:80")
        })
      #expect(try !runner.istbpf("-d", "other", "observe", "--recent").output.contains("192.0.2.1"))
    }
  }

  @Test("The log in the runtime directory stays within its limits")
  func bounded() throws {
    let path = "/tmp/istbpf-\(UUID()).log"
    defer { for file in [path, path + ".1"] { try? FileManager.default.removeItem(atPath: file) } }
    let log = RecentLog()
    log.add("early")
    log.keep(in: path)
    for number in 0..<20_000 { log.add("line \(number) \(String(repeating: "x", count: 100))") }
    for file in [path, path + ".1"] {
      let attributes = try FileManager.default.attributesOfItem(atPath: file)
      #expect(attributes[.size] as? Int ?? .max < RecentLog.capacity + 200)
      #expect(attributes[.posixPermissions] as? Int == 0o600)
    }
    #expect(try String(contentsOfFile: path, encoding: .utf8).contains("line 19999 "))
  }
}
