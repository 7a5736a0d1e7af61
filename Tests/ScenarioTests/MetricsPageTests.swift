import Foundation
import RelayControl
import TestSupport
import Testing

@testable import Runner

/// What a runner printed at /metrics.
private struct Scrape {
  struct Metric: Equatable {
    var type = ""
    var help = ""
    var labels: Set<String> = []
  }

  let text: String
  /// By their names, as TYPE lines have them.
  private(set) var metrics: [String: Metric] = [:]
  /// Series and their values.
  private(set) var series: [(name: String, labels: String, value: Double)] = []

  init(_ answer: String) throws {
    #expect(answer.hasPrefix("200\n"))
    text = String(answer.dropFirst(4))
    for line in text.split(separator: "\n").map(String.init) {
      let words = line.split(separator: " ", maxSplits: 3).map(String.init)
      if line.hasPrefix("# HELP ") {
        metrics[words[2], default: Metric()].help = words[3]
      } else if line.hasPrefix("# TYPE ") {
        metrics[words[2], default: Metric()].type = words[3]
      } else {
        let end = try #require(line.lastIndex(of: " "))
        let parts = line[..<end].split(separator: "{", maxSplits: 1)
        let (name, labels) = (String(parts[0]), parts.count > 1 ? String(parts[1].dropLast()) : "")
        series.append((name, labels, try #require(Double(line[line.index(after: end)...]))))
        let whole = try #require(Self.metric(of: name, among: metrics.keys))
        for label in labels.matches(of: /([a-z]+)="/) where label.1 != "le" {
          metrics[whole]?.labels.insert(String(label.1))
        }
      }
    }
  }

  /// The metric that a series is of: a histogram has several.
  static func metric(of series: String, among known: some Collection<String>) -> String? {
    if known.contains(series) { return series }
    return ["_bucket", "_sum", "_count"].lazy.filter(series.hasSuffix)
      .map { String(series.dropLast($0.count)) }.first { known.contains($0) }
  }
}

@Suite(
  "Metrics by the conventions of Prometheus, and what is made of them", .timeLimit(.minutes(10)))
struct MetricsPageTests {
  private static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .appendingPathComponent("../..").standardizedFileURL

  private func file(_ path: String) throws -> String {
    try String(contentsOf: Self.root.appendingPathComponent(path), encoding: .utf8)
  }

  @Test("Each metric is on the page, well named, and enough for the dashboard and the alert rules")
  func page() async throws {
    try await ClusterLaboratory.with { cluster in
      try cluster.deploy("shop", "app", "db")
      let app = try cluster.instance(of: "shop/app", on: 1)
      try cluster.instance(of: "shop/db", on: 2).listen(3211)
      try app.listen(8080)
      #expect(try app.tell("hold", "$WARP_IST_db", 3211) == "shop/db at 198.18.2.2")
      #expect(try app.connect("$WARP_IST_db", 9) == "ECONNREFUSED")
      #expect(try app.connect("192.0.2.1", 80) == "EPERM")
      _ = try cluster[1].istbpf("connect", "shop/app:8080")
      #expect(try cluster.get("/readyz", from: 1) == "200\nok\n")

      let well = try Scrape(cluster.get("/metrics", from: 1))
      for (name, labels, value) in [
        ("istbpf_connect_duration_seconds_count", #"outcome="accepted""#, 1.0),
        ("istbpf_connect_duration_seconds_count", #"outcome="refused""#, 1),
        ("istbpf_connect_duration_seconds_bucket", #"outcome="accepted",le="+Inf""#, 1),
        ("istbpf_instance_start_duration_seconds_count", "", 1),
        ("istbpf_unguarded_instances", "", 0),
        ("istbpf_host_connects_total", #"deployment="shop",service="app""#, 1),
      ] {
        let found = well.series.first { $0.name == name && $0.labels == labels }
        #expect(found?.value == value, "\(name){\(labels)}: \(well.text)")
      }
      let end =
        well.series.first { $0.name == "istbpf_certificate_expiry_timestamp_seconds" }?.value ?? 0
      #expect(abs(end - Date().timeIntervalSince1970 - 90 * 86_400) < 86_400)

      try checkNames(well)
      try checkPage(well)
      try checkUses(well)
      try checkRules(well)

      cluster.etcd.stop()
      let isStale = try cluster[1].eventually(within: 30) {
        try cluster.get("/readyz", from: 1) == "503\nregistry: changes are not received\n"
      }
      #expect(isStale)
      #expect(try cluster.get("/healthz", from: 1).hasPrefix("200\n"), "what runs goes on")
      try checkAlerts(Scrape(cluster.get("/metrics", from: 1)), fires: ["IstbpfRegistryStale"])
    }
  }

  private func checkNames(_ scrape: Scrape) throws {
    let path = "/tmp/istbpf-\(UUID()).metrics"
    defer { try? FileManager.default.removeItem(atPath: path) }
    try scrape.text.write(toFile: path, atomically: true, encoding: .utf8)
    let result = try run("bash", "-c", "promtool check metrics <\(path)")
    #expect(result.status == 0 && result.errors.isEmpty, "\(result.output)\(result.errors)")
    // No series stands there twice.
    let series = scrape.series.map { "\($0.name){\($0.labels)}" }
    #expect(Set(series).count == series.count)
  }

  private func checkPage(_ scrape: Scrape) throws {
    let text = try file("Documentation/metrics.md")
    let marker = "<!-- metrics -->\n"
    let begin = try #require(text.range(of: marker)?.upperBound)
    var wanted = text[..<begin] + "\n| metric | type | labels | |\n|---|---|---|---|\n"
    for (name, metric) in scrape.metrics.sorted(by: { $0.key < $1.key }) {
      let labels = metric.labels.sorted().map { "`\($0)`" }.joined(separator: ", ")
      wanted += "| `\(name)` | \(metric.type) | \(labels) | \(metric.help) |\n"
    }
    if ProcessInfo.processInfo.environment["ISTBPF_WRITE_TABLE"] != nil {
      return try String(wanted).write(
        to: Self.root.appendingPathComponent("Documentation/metrics.md"), atomically: true,
        encoding: .utf8)
    }
    #expect(text == wanted, "run with ISTBPF_WRITE_TABLE=1 to write it")
  }

  /// Whatever dashboard and rules name is printed.
  private func checkUses(_ scrape: Scrape) throws {
    for path in ["Packaging/grafana/istbpf.json", "Packaging/prometheus/istbpf.rules.yml"] {
      let text = try file(path)
      let names = Set(text.matches(of: /istbpf_[a-z_]+/).map { String($0.0) })
      #expect(names.count > 10)
      for name in names {
        #expect(Scrape.metric(of: name, among: scrape.metrics.keys) != nil, "\(name) of \(path)")
      }
    }
    let dashboard = try #require(
      try JSONSerialization.jsonObject(with: Data(file("Packaging/grafana/istbpf.json").utf8))
        as? [String: Any])
    let panels = try #require(dashboard["panels"] as? [[String: Any]])
    #expect(Set(panels.compactMap { $0["id"] as? Int }).count == panels.count)
    // What promtool has for a query of its own: a rule is one.
    let queries = panels.flatMap { $0["targets"] as? [[String: Any]] ?? [] }.compactMap {
      $0["expr"] as? String
    }
    .map {
      $0.replacingOccurrences(of: "$job", with: "j").replacingOccurrences(
        of: "$instance", with: "i")
    }
    let rules = queries.enumerated().map { ["record": "query_\($0)", "expr": $1] }
    let path = "/tmp/istbpf-\(UUID()).yml"
    defer { try? FileManager.default.removeItem(atPath: path) }
    // JSON is YAML.
    try JSONSerialization.data(withJSONObject: ["groups": [["name": "dashboard", "rules": rules]]])
      .write(to: URL(fileURLWithPath: path))
    let result = try run("promtool", "check", "rules", "--lint", "none", path)
    #expect(result.status == 0, "\(result.output)\(result.errors)")
  }

  // MARK: Alert rules

  private func checkRules(_ well: Scrape) throws {
    let path = Self.root.appendingPathComponent("Packaging/prometheus/istbpf.rules.yml").path
    let check = try run("promtool", "check", "rules", path)
    #expect(check.status == 0, "\(check.output)\(check.errors)")

    try checkAlerts(well, fires: [])
    let alerts = Set(
      try file("Packaging/prometheus/istbpf.rules.yml").matches(of: /alert: ([A-Za-z]+)/).map {
        String($0.1)
      })
    /// What makes each of them fire, of the series as they are: what is added each minute, or the value instead.
    let causes: [String: (Scrape) -> [String: String]] = [
      "IstbpfDown": { _ in ["up": "0+0x60"] },
      "IstbpfRelayDown": { _ in ["istbpf_relay_up": "0+0x60"] },
      "IstbpfInstanceUnguarded": { _ in ["istbpf_unguarded_instances": "1+0x60"] },
      "IstbpfRegistryStale": { _ in ["istbpf_registry_current": "0+0x60"] },
      "IstbpfInstancesHeld": { _ in ["istbpf_registry_held_instances": "3+0x60"] },
      "IstbpfInstanceDisplaced": { _ in ["istbpf_registry_displaced_instances": "1+0x60"] },
      // Time begins at 0 in such a test.
      "IstbpfCertificateEnds": { _ in
        ["istbpf_certificate_expiry_timestamp_seconds": "1000000+0x60"]
      },
      "IstbpfHandshakesFail": { _ in ["istbpf_handshakes_failed_total": "0+60x60"] },
      "IstbpfConnectionsCut": { _ in ["istbpf_streams_truncated_total": "0+60x60"] },
      "IstbpfConnectsSlow": { Self.slow("istbpf_connect_duration_seconds", beyond: 1, $0) },
      "IstbpfStartsSlow": { Self.slow("istbpf_instance_start_duration_seconds", beyond: 2.5, $0) },
      "IstbpfDenials": { _ in ["istbpf_denials_total": "0+120x60"] },
      "IstbpfUserSpaceEncryption": { _ in ["istbpf_kernel_tls": "0+0x60"] },
    ]
    #expect(Set(causes.keys) == alerts)
    for (alert, cause) in causes { try checkAlerts(well, cause(well), fires: [alert]) }
  }

  /// Sixty more a minute in all buckets beyond a bound.
  private static func slow(_ name: String, beyond bound: Double, _ scrape: Scrape) -> [String:
    String]
  {
    var changes: [String: String] = [:]
    for (series, labels, value) in scrape.series where series == name + "_bucket" {
      let le = labels.components(separatedBy: "le=\"").last?.dropLast() ?? ""
      let isBeyond = le == "+Inf" || Double(le) ?? 0 > bound
      changes["\(series){\(labels)}"] = isBeyond ? "\(value)+60x60" : "\(value)+0x60"
    }
    return changes
  }

  /// Has Prometheus evaluate the rules for an hour on the series of a runner, some of them changed, by their
  /// names or with their labels, and expects just these alerts beside those that are for information.
  private func checkAlerts(
    _ scrape: Scrape, _ changes: [String: String] = [:], fires: [String]
  ) throws {
    var series = scrape.series.map { name, labels, value in
      let change = changes["\(name){\(labels)}"] ?? changes[name] ?? "\(value)+0x60"
      return [
        "series": "\(name){\(labels)\(labels.isEmpty ? "" : ",")job=\"istbpf\",instance=\"r1\"}",
        "values": change,
      ]
    }
    series.append([
      "series": "up{job=\"istbpf\",instance=\"r1\"}", "values": changes["up"] ?? "1+0x60",
    ])
    func count(_ selector: String, _ expected: Int) -> [String: Any] {
      [
        "expr": "count(count by (alertname) (ALERTS{alertstate=\"firing\",\(selector)}))",
        "eval_time": "55m",
        "exp_samples": expected == 0 ? [] : [["labels": "{}", "value": expected] as [String: Any]],
      ]
    }
    let others = fires.map { "alertname!=\"\($0)\"," }.joined()
    let document: [String: Any] = [
      "rule_files": [
        Self.root.appendingPathComponent("Packaging/prometheus/istbpf.rules.yml").path
      ],
      "evaluation_interval": "1m",
      "tests": [
        [
          "interval": "1m", "input_series": series,
          "promql_expr_test": fires.map { count("alertname=\"\($0)\"", 1) } + [
            count("\(others)severity!=\"info\"", 0)
          ],
        ] as [String: Any]
      ],
    ]
    let path = "/tmp/istbpf-\(UUID()).yml"
    defer { try? FileManager.default.removeItem(atPath: path) }
    try JSONSerialization.data(withJSONObject: document, options: .withoutEscapingSlashes)
      .write(to: URL(fileURLWithPath: path))
    let result = try run("promtool", "test", "rules", path)
    #expect(
      result.status == 0, "\(fires): \(result.output.suffix(2000))\(result.errors.suffix(2000))")
  }

  @Test("A histogram counts what took as long as a bound or less")
  func histogram() {
    let durations = DurationHistogram(bounds: [0.001, 1])
    for duration in [Duration.microseconds(10), .milliseconds(1), .milliseconds(2), .seconds(3)] {
      durations.observe(duration)
    }
    var text = MetricsText()
    text.add("a_seconds", "B.", [(["c": "d"], durations.snapshot)])
    #expect(
      text.text == """
        # HELP a_seconds B.
        # TYPE a_seconds histogram
        a_seconds_bucket{c="d",le="0.001"} 2
        a_seconds_bucket{c="d",le="1.0"} 3
        a_seconds_bucket{c="d",le="+Inf"} 4
        a_seconds_sum{c="d"} 3.00301
        a_seconds_count{c="d"} 4

        """)
  }

  @Test("Services beyond a number, and those that are removed, share series")
  func bounded() async throws {
    try await RunnerLaboratory.withoutDaemon { runner in
      let address = "127.0.0.9:\(UInt16.random(in: 9000...29000))"
      try runner.startDaemon(wrapper: ["env", "ISTBPF_METRICS_ADDRESS=\(address)"])
      #expect(try HTTP.get("http://\(address)/readyz") == "200\nok\n")
      try runner.deploy("shop", "app", "a", "b")
      for service in ["a", "b"] {
        let instance = try runner.instance(of: "shop/\(service)")
        #expect(try instance.connect("192.0.2.1", 80) == "EPERM")
      }
      try runner.deploy("other", "app")
      #expect(try runner.istbpf("deploy", "-d", "shop", "-s", "app", "--replace").status == 0)
      for deployment in 1...5 {
        let services = (1...400).flatMap { ["-s", "s\($0)"] }
        #expect(try runner.istbpf(["deploy", "-d", "many\(deployment)"] + services).status == 0)
      }
      let scrape = try Scrape(HTTP.get("http://\(address)/metrics"))
      try checkNames(scrape)
      let instances = scrape.series.filter { $0.name == "istbpf_instances" }
      #expect(instances.count == Runner.servicesListed + 1)
      #expect(
        instances.filter { $0.labels == #"deployment="(others)",service="(others)""# }.count == 1)
    }
  }
}
