import Foundation
import Model
import Testing

@Suite struct ConfigurationKeysTests {
  private func fault(_ json: String, section: String? = nil) -> ConfigurationFault? {
    do {
      try ConfigurationKeys.check(json: json.utf8, file: "config.json", section: section)
      return nil
    } catch { return error }
  }

  @Test func `everything that can be said is taken`() {
    let json = """
      {"cluster": "prod", "selection": "spread", "metrics": {"address": "127.0.0.1:9464"},
       "etcd": {"endpoints": ["https://192.0.2.9:2379"], "authorities": "a", "certificate": "b",
         "key": "c", "user": "d", "password": "e", "leaseSeconds": 3, "callTimeoutSeconds": 3,
         "lossConfirmationSeconds": 60},
       "tunnel": {"address": "192.0.2.7:7443", "certificate": "a", "key": "b", "authorities": "c",
         "denied": "d", "kernelTLS": false},
       "frontDoor": {"domain": "example.org", "certificates": "a", "https": "b", "http": ""},
       "egress": {"resolvConf": "/etc/resolv.conf", "keepFormerSeconds": 300,
         "keepOnFailureSeconds": 3600, "relayConnections": 2048},
       "oci": {"runtime": "/usr/bin/crun", "variables": false}}
      """
    #expect(fault(json) == nil)
    #expect(fault("{}") == nil)
  }

  @Test(
    arguments: [
      (
        "{\"tunnel\": {\n\"deneid\": \"d\"}}", 2,
        #"unknown key "tunnel.deneid"; did you mean "tunnel.denied"?"#
      ),
      (#"{"tunel": {}}"#, 1, #"unknown key "tunel"; did you mean "tunnel"?"#),
      (
        #"{"denied": "d"}"#, 1,
        #"unknown key "denied"; known are "cluster", "egress", "etcd", "frontDoor", "#
      ),
      (#"{"tunnel.denied": "d"}"#, 1, #"unknown key "tunnel.denied": a section is an object"#),
      (#"{"tunnel": {"zebra": 1}}"#, 1, #"known are "address", "authorities", "certificate", "#),
      (#"{"oci": {"varables": false}}"#, 1, #"did you mean "oci.variables"?"#),
      (#"{"cluster": 5}"#, 1, "cluster must be a text, not 5"),
      (#"{"cluster": null}"#, 1, "cluster must be a text, not null"),
      (#"{"cluster": {"name": "a"}}"#, 1, "cluster must be a text, not an object"),
      (#"{"frontDoor": {"http": false}}"#, 1, "frontDoor.http must be a text, not false"),
      (#"{"frontDoor": true}"#, 1, "frontDoor must be an object, not true"),
      (#"{"etcd": {"endpoints": "a"}}"#, 1, "etcd.endpoints must be a list of texts, not the text"),
      (#"{"etcd": {"endpoints": [1]}}"#, 1, "etcd.endpoints must be a list of texts, not a list"),
      (#"{"etcd": {"leaseSeconds": "3"}}"#, 1, "etcd.leaseSeconds must be a whole number"),
      (#"{"etcd": {"leaseSeconds": 3.5}}"#, 1, "etcd.leaseSeconds must be a whole number, not 3.5"),
      (#"{"tunnel": {"kernelTLS": "no"}}"#, 1, "tunnel.kernelTLS must be true or false"),
      ("{\n\"cluster\": \"a\",\n\"cluster\": \"b\"}", 3, #"the key "cluster" twice"#),
      ("{\n// no\n}", 2, "has a comment"), ("[]", nil, "must be a JSON object, not a list"),
      ("", nil, "is empty"),
    ] as [(String, Int?, String)])
  func `what the file has wrong is named with its line`(json: String, line: Int?, problem: String) {
    let fault = fault(json)
    #expect(fault?.place == "config.json" + (line.map { ":\($0)" } ?? ""))
    #expect(fault?.problem.contains(problem) == true, "\(fault?.description ?? "nothing")")
  }

  @Test func `of one section the others are no business`() {
    let json = #"{"tunnel": {"deneid": "d"}, "oci": {"runtime": "/usr/bin/crun"}}"#
    #expect(fault(json, section: "oci") == nil)
    #expect(fault(#"{"oci": {"runtime": 3}}"#, section: "oci") != nil)
    // They were meant for it, and what they forbid would be allowed.
    #expect(fault(#"{"OCI": {"variables": false}}"#, section: "oci") != nil)
    #expect(fault(#"{"oci.variables": false}"#, section: "oci") != nil)
  }

  @Test func `variables are checked as the keys that they stand for`() throws {
    func fault(_ name: String, _ value: String) -> String? {
      do {
        try ConfigurationKeys.check(environment: [name: value, "PATH": "/bin"])
        return nil
      } catch { return "\(error)" }
    }
    for (name, value) in [
      ("ISTBPF_FRONT_DOOR_DOMAIN", "example.org"), ("ISTBPF_TUNNEL_KERNEL_TLS", "no"),
      ("ISTBPF_ETCD_LEASE_SECONDS", "3"), ("ISTBPF_ETCD_ENDPOINTS", "a,b"),
      ("ISTBPF_INSTALLATION", "x"), ("ISTBPF_OCI_LOG", "/l"), ("ISTBPF_TEST_SLOWNESS", "1"),
      ("ISTBPF_WRITE_TABLE", "1"),
    ] { #expect(fault(name, value) == nil, "\(name)") }
    #expect(
      fault("ISTBPF_TUNNEL_DENID", "d")
        == "ISTBPF_TUNNEL_DENID: is no variable; did you mean ISTBPF_TUNNEL_DENIED?")
    #expect(fault("ISTBPF_TUNNEL_KERNEL_TLS", "off")?.contains("true or false") == true)
    #expect(fault("ISTBPF_ETCD_LEASE_SECONDS", "3s")?.contains("a whole number") == true)
  }

  @Test func `no script has a variable that istbpfd takes for a misspelt one`() throws {
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .deletingLastPathComponent().deletingLastPathComponent()
    let scripts = root.appendingPathComponent("Scripts")
    let files = try #require(FileManager.default.enumerator(atPath: scripts.path))
    var names: Set<String> = []
    for case let file as String in files {
      let path = scripts.appendingPathComponent(file).path
      guard let text = try? String(contentsOfFile: path, encoding: .utf8) else { continue }
      names.formUnion(text.matches(of: /ISTBPF_[A-Z_]*[A-Z]/).map { String($0.output) })
    }
    #expect(names.count > 10)
    for name in names {
      // A value may be of another kind than the key's: no variable is what a misspelt one is called.
      let faults = ConfigurationKeys.faults(environment: [name: "x"])
      #expect(!faults.contains { "\($0)".contains("is no variable") }, "\(faults)")
    }
  }
}
