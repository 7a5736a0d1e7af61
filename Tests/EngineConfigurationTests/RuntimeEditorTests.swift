import EngineConfiguration
import Foundation
import TestSupport
import Testing

@Suite("The runtime in an engine's configuration")
struct RuntimeEditorTests {
  private static let path = "/usr/bin/istbpf-oci"

  private func add(
    _ engine: ConfigurableEngine, to text: String?, isDefault: Bool = false
  ) throws -> String {
    let entry = RuntimeEntry(path: Self.path, isDefault: isDefault)
    return try #require(try engine.editor.adding(entry, to: text))
  }

  private func json(_ text: String?) throws -> NSDictionary {
    let value = try JSONSerialization.jsonObject(with: Data(try #require(text).utf8))
    return try #require(value as? NSDictionary)
  }

  @Test(
    "What was in daemon.json stays, and comes back whole",
    arguments: [
      #"{"log-driver": "journald", "runtimes": {"kata": {"path": "/usr/bin/kata"}}}"#,
      #"{"default-runtime": "kata", "mtu": 1400}"#, #"{"big": 9007199254740993, "half": 0.5}"#,
    ])
  func docker(text: String) throws {
    let new = try add(.docker, to: text)
    let runtimes = try #require(try json(new)["runtimes"] as? NSDictionary)
    #expect(runtimes["istbpf"] as? NSDictionary == ["path": Self.path])
    #expect(try json(new)["default-runtime"] as? String == json(text)["default-runtime"] as? String)
    #expect(try add(.docker, to: new) == new)
    #expect(try json(ConfigurableEngine.docker.editor.removing(from: new)) == json(text))
  }

  @Test("A daemon.json that is not there is made, and removed again", arguments: [nil, "", "  \n"])
  func newDocker(text: String?) throws {
    let new = try add(.docker, to: text, isDefault: true)
    #expect(
      try json(new) == ["default-runtime": "istbpf", "runtimes": ["istbpf": ["path": Self.path]]])
    #expect(try ConfigurableEngine.docker.editor.removing(from: new) == nil)
    #expect(try json(add(.docker, to: new)) == ["runtimes": ["istbpf": ["path": Self.path]]])
  }

  @Test(
    "What cannot be edited is refused with the reason",
    arguments: [
      (ConfigurableEngine.docker, "{", "it is no JSON"), (.docker, "[]", "it is no JSON object"),
      (.docker, #"{"runtimes": 1}"#, "runtimes is no JSON object"),
      (.docker, #"{"default-runtime": "kata"}"#, "default-runtime is kata already"),
      (.podman, "[engine]\n", "it was not written by istbpf runtime configure"),
      (.crio, "[crio]\n", "it was not written by istbpf runtime configure"),
      (.containerd, "version = \n", "it is no TOML"),
      (.containerd, "root = '/x'\n", "its version is 1, and only 2 and 3"),
      (
        .containerd,
        "version = 2\n[plugins.'io.containerd.grpc.v1.cri']\ncontainerd = { snapshotter = 'native' }\n",
        "it has a form that cannot be edited"
      ),
      (
        .containerd,
        "version = 2\n[plugins.'io.containerd.grpc.v1.cri']\ncontainerd.default_runtime_name = 'runc'\n",
        "default_runtime_name is set in a form"
      ),
      (
        .containerd,
        "version = 2\n[plugins.'io.containerd.grpc.v1.cri'.containerd.runtimes.istbpf]\nruntime_type = 'x'\n",
        "it has a runtime istbpf that"
      ),
    ])
  func refused(engine: ConfigurableEngine, text: String, reason: String) throws {
    let error = #expect(throws: ConfigurationProblem.self) {
      try add(engine, to: text, isDefault: true)
    }
    #expect(error?.description.contains(reason) == true, "\(error.map { "\($0)" } ?? "")")
  }

  private static let packaged = """
    version = 2
    # what Debian's package has
    [plugins]
      [plugins."io.containerd.grpc.v1.cri"]
        [plugins."io.containerd.grpc.v1.cri".cni]
          bin_dir = "/usr/lib/cni"
          conf_dir = "/etc/cni/net.d"
    """

  private static let systemd = """
    version = 3
    [plugins.'io.containerd.cri.v1.runtime'.containerd]
      default_runtime_name = 'runc' # the usual one
      [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
        runtime_type = 'io.containerd.runc.v2'
        [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
          SystemdCgroup = true

    [debug]
      level = 'info'

    """

  @Test(
    "config.toml is what it was, but for the runtime, and comes back letter for letter",
    arguments: [packaged, packaged + "\n", systemd, systemd + "\n\n"], [false, true])
  func containerd(text: String, isDefault: Bool) throws {
    let new = try add(.containerd, to: text, isDefault: isDefault)
    for line in text.split(separator: "\n") { #expect(new.contains(line)) }
    #expect(new.contains("BinaryName = \"\(Self.path)\""))
    #expect(new.contains("SystemdCgroup = true\n# istbpf: end") == text.contains("SystemdCgroup"))
    #expect(new.contains("default_runtime_name = \"istbpf\"") == isDefault)
    #expect(try add(.containerd, to: new, isDefault: isDefault) == new)
    #expect(try ConfigurableEngine.containerd.editor.removing(from: new) == text)
    let other = try add(.containerd, to: new, isDefault: !isDefault)
    #expect(try ConfigurableEngine.containerd.editor.removing(from: other) == text)
  }

  @Test(
    "Files of our own are made, and removed again",
    arguments: [ConfigurableEngine.podman, .crio, .containerd])
  func dropIn(engine: ConfigurableEngine) throws {
    let new = try add(engine, to: nil, isDefault: true)
    #expect(new.contains(Self.path))
    #expect(try add(engine, to: new, isDefault: true) == new)
    #expect(try engine.editor.removing(from: new) == nil)
    #expect(try engine.editor.removing(from: nil) == nil)
  }

  @Test(
    "Another reader of TOML finds the runtime in files of our own, whatever its path",
    arguments: [
      (ConfigurableEngine.podman, ["engine"], ["engine", "runtimes", "istbpf"], "runtime"),
      (
        .crio, ["crio", "runtime"], ["crio", "runtime", "runtimes", "istbpf", "runtime_path"],
        "default_runtime"
      ),
    ], ["/usr/bin/istbpf-oci", "/opt/a \"b\" \\c/istbpf-oci"])
  func readByOthers(
    form: (engine: ConfigurableEngine, section: [String], place: [String], standard: String),
    path: String
  ) throws {
    for isDefault in [false, true] {
      let text = try #require(
        try form.engine.editor.adding(RuntimeEntry(path: path, isDefault: isDefault), to: nil))
      let parsed = try run(
        [
          "python3", "-c",
          "import json, sys, tomllib; print(json.dumps(tomllib.loads(sys.argv[1])))", text,
        ])
      #expect(parsed.status == 0, "\(parsed.errors)")
      let whole = try json(parsed.output)
      func value(at keys: [String]) -> Any? {
        keys.reduce(whole as Any?) { ($0 as? NSDictionary)?[$1] }
      }
      let found = value(at: form.place)
      #expect(found as? String == path || found as? [String] == [path], "\(parsed.output)")
      let standard = value(at: form.section + [form.standard]) as? String
      #expect(standard == (isDefault ? "istbpf" : nil), "\(parsed.output)")
    }
  }
}
