import EngineTestSupport
import Foundation
import Model
import TestSupport
import Testing

@Suite("What Docker and containerd give to a runtime", .timeLimit(.minutes(10)))
struct EngineTests {
  /// A bundle of Docker's, as far as the wrapper looks at it, with numbers at the edges.
  private static let configuration = #"""
    {"ociVersion":"1.1.0","process":{"user":{"uid":0,"gid":0,"additionalGids":[0,10]},
    "args":["nginx","-g","daemon off;"],"env":["PATH=/usr/bin","WARP_DEPLOYMENT=shop","WARP_SERVICE=app"],
    "cwd":"/","capabilities":{"bounding":["CAP_CHOWN","CAP_NET_RAW"],"effective":["CAP_NET_RAW"],
    "permitted":["CAP_NET_RAW"]},"oomScoreAdj":0},"root":{"path":"ROOT"},"hostname":"0123abcd",
    "mounts":[{"destination":"/proc","type":"proc","source":"proc","options":["nosuid","noexec","nodev"]},
    {"destination":"/etc/hosts","type":"bind","source":"HOSTS","options":["rbind","rprivate"]}],
    "hooks":{"prestart":[{"path":"/proc/812/exe","args":["libnetwork-setkey","-exec-root=/var/run/docker",
    "0123abcd","9f"]}]},"linux":{"sysctl":{"net.ipv4.ip_unprivileged_port_start":"0"},
    "resources":{"devices":[{"allow":false,"access":"rwm"},{"allow":true,"type":"c","major":1,"minor":5,
    "access":"rwm"}],"memory":{"limit":9223372036854771712},"cpu":{"shares":0},"blockIO":{}},
    "cgroupsPath":"system.slice:docker:0123abcd","namespaces":[{"type":"mount"},{"type":"network"},
    {"type":"uts"},{"type":"pid"},{"type":"ipc"},{"type":"cgroup"}],
    "seccomp":{"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":1,"architectures":["SCMP_ARCH_X86_64",
    "SCMP_ARCH_X86","SCMP_ARCH_X32"],"syscalls":[{"names":["accept","io_uring_setup","socketpair"],
    "action":"SCMP_ACT_ALLOW"},{"names":["socket"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":40,
    "op":"SCMP_CMP_NE"}]}]},"maskedPaths":["/proc/kcore"],"readonlyPaths":["/proc/sys"]}}
    """#

  /// Starts a command as an engine does: without descriptors and signal actions of this process's.
  private static let asAnEngine = [
    "/usr/bin/python3", "-c",
    """
    import os, signal, sys
    os.closerange(3, 4096)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    os.execvp("env", ["env"] + sys.argv[1:])
    """,
  ]

  /// Runs the wrapper over a runtime that only says what it was given and what it found.
  private func create(
    _ runner: RunnerLaboratory, _ arguments: (_ bundle: String) -> [String],
    editing edit: (String) -> String = { $0 }
  ) throws -> (result: CommandResult, configuration: String, log: String) {
    let directory =
      FileManager.default.temporaryDirectory.path
      + "/\(runner.laboratory.uniqueName("b"))"
    let bundle = directory + "/create"
    try FileManager.default.createDirectory(
      atPath: bundle + "/rootfs", withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: directory) }
    let runtime = directory + "/runtime"
    let script =
      "#!/bin/sh\nprintf '%s\\n' \"$@\"\necho $(ls /proc/self/fd)\ngrep SigIgn /proc/self/status\n"
    try writeProgram(script, to: runtime)
    try Data("192.0.2.1 docker\n".utf8).write(to: URL(fileURLWithPath: directory + "/hosts"))
    let text = edit(Self.configuration)
      .replacingOccurrences(of: "ROOT", with: bundle + "/rootfs")
      .replacingOccurrences(of: "HOSTS", with: directory + "/hosts")
    let file = bundle + "/config.json"
    try Data(text.utf8).write(to: URL(fileURLWithPath: file))
    chmod(file, 0o600)
    let result = try run(
      Self.asAnEngine + [
        "ISTBPF_INSTALLATION=\(runner.installation.name)", "ISTBPF_OCI_RUNTIME=\(runtime)",
        try Product.istbpfOCI(),
      ] + arguments(bundle))
    let written = try String(contentsOfFile: file, encoding: .utf8)
    let mode = try FileManager.default.attributesOfItem(atPath: file)[.posixPermissions] as? Int
    #expect(mode == 0o600)
    #expect(try FileManager.default.contentsOfDirectory(atPath: bundle).sorted().contains("rootfs"))
    let log = (try? String(contentsOfFile: bundle + "/log.json", encoding: .utf8)) ?? ""
    return (result, written, log)
  }

  private func containerd(_ bundle: String) -> [String] {
    [
      "--root", "/run/containerd/runc/moby", "--log", "\(bundle)/log.json", "--log-format", "json",
      "--systemd-cgroup", "create", "--bundle", bundle, "--pid-file", "\(bundle)/init.pid",
      "--console-socket", "/tmp/pty1/pty.sock", "0123abcd",
    ]
  }

  @Test("containerd's create edits the bundle and passes the arguments on as they are")
  func create() async throws {
    try await RunnerLaboratory.with { runner in
      try runner.deploy("shop", "app", "db")
      var given: [String] = []
      let made = try create(runner) { bundle in
        given = containerd(bundle)
        return given
      }
      #expect(made.result.status == 0, "\(made.result.errors)")
      let said = made.result.output.split(separator: "\n").map(String.init)
      #expect(Array(said.prefix(given.count)) == given)
      // 3 is what ls reads the directory with.
      #expect(said.dropFirst(given.count).first == "0 1 2 3")
      let ignored = try #require(
        said.last?.split(separator: "\t").last.flatMap { UInt64($0, radix: 16) })
      #expect(ignored >> (UInt64(SIGPIPE) - 1) & 1 == 0)
      for part in [
        #""limit":9223372036854771712"#, #""WARP_IST_db=198.18.2.1""#, #""additionalGids":[0,10]"#,
        #""args":["libnetwork-setkey","-exec-root=/var/run/docker","0123abcd","9f"]"#,
        #""cgroupsPath":"system.slice:docker:0123abcd""#, #""bounding":["CAP_CHOWN"]"#,
        #""istbpf-hook","attach","shop","app""#, #""cpu":{"shares":0},"blockIO":{}"#,
      ] {
        #expect(made.configuration.contains(part), "\(part)")
      }
      #expect(!made.configuration.contains("io_uring_setup\""))
      let hosts = "/run/\(runner.installation.name)/hosts/.containers"
      let file = try #require(try FileManager.default.contentsOfDirectory(atPath: hosts).first)
      let text = try String(contentsOfFile: "\(hosts)/\(file)", encoding: .utf8)
      #expect(text.hasPrefix("192.0.2.1 docker\n# istbpf"))
    }
  }

  @Test("A refusal is in the log where containerd looks for it, and the bundle is as it was")
  func refusal() async throws {
    try await RunnerLaboratory.with { runner in
      let made = try create(runner, containerd)
      #expect(made.result.status == 1)
      #expect(made.result.output.isEmpty, "the runtime was not called")
      let entry = try JSONDecoder().decode([String: String].self, from: Data(made.log.utf8))
      #expect(entry["level"] == "error")
      #expect(entry["msg"]?.contains("deployment \"shop\" is not declared") == true, "\(made.log)")
      #expect(made.configuration.contains("CAP_NET_RAW"))
    }
  }

  @Test("A bundle without a service is not touched by a byte, and needs no daemon")
  func untouched() async throws {
    try await RunnerLaboratory.withoutDaemon { runner in
      let neither = { (text: String) in
        text.replacingOccurrences(
          of: "\"WARP_DEPLOYMENT=shop\",\"WARP_SERVICE=app\"", with: "\"A=1\"")
      }
      let made = try create(runner, containerd, editing: neither)
      #expect(made.result.status == 0, "\(made.result.errors)")
      #expect(made.configuration.contains("additionalGids\":[0,10]},\n"), "with its line breaks")
    }
  }

  @Test("Its version and help say what it is itself, and on standard output what the runtime says")
  func version() throws {
    for word in ["--version", "--help"] {
      let result = try run(
        "ISTBPF_OCI_RUNTIME=/usr/sbin/runc", "ISTBPF_OCI_VARIABLES=false",
        "ISTBPF_INSTALLATION=other", try Product.istbpfOCI(), word)
      let own = try run("/usr/sbin/runc", word)
      #expect(result.status == 0)
      // runc's help has the name that it is called by.
      if word == "--version" { #expect(result.output == own.output) }
      #expect(result.output.contains("runc"))
      for part in [
        "istbpf-oci \(istbpfVersion)", "/usr/sbin/runc", "/etc/istbpf/config.json", "other",
        "by annotations only",
      ] { #expect(result.errors.contains(part), "\(word): \(result.errors)") }
    }
  }
}
