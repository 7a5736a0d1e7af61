import Foundation
import Glibc
import LinuxSystem
import Model
import RelayControl

/// The files of a report, and what could not be had.
struct ReportContents {
  struct File {
    let name: String
    let purpose: String
    let text: String
  }

  private(set) var files: [File] = []
  private(set) var missing: [String] = []
  private let redaction: Redaction
  private var timings: [String] = []

  /// Log lines at most, and of an HTTP answer or another file so many bytes.
  private static let (lines, bytes) = (5000, 4 << 20)

  /// Gathers it, from the machine as it is now.
  init(installation: Installation, configuration: String?) throws {
    let daemon = DaemonProcess(installation)
    let settings = RunnerSettings(file: configuration, daemon)
    redaction = Redaction(settings.secrets)
    if daemon == nil {
      missing.append(
        geteuid() == 0
          ? "istbpfd does not run: what only it knows is not here"
          : "only root can look at istbpfd: ask as root")
    }
    addVersions(installation, daemon)
    add("configuration.txt", "the configuration, without secrets", Self.text(of: settings))
    let own =
      (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? "istbpf"
    for (file, purpose, arguments) in [
      ("status.json", "what is declared, and what is attached", ["status", "--json"]),
      ("status.txt", "the same for people", ["status"]),
      (
        "doctor.txt", "what the machine has, and what is in the way",
        ["doctor", "--config", settings.file]
      ),
      ("ps.json", "the instances", ["ps", "--json"]),
      ("inspect.json", "every map of the kernel, decoded", ["inspect", "--json"]),
      (
        "events.jsonl", "the last denials, and connections where somebody observed",
        ["observe", "--recent", "--json"]
      ),
    ] {
      add(
        file, purpose,
        CapturedCommand([own] + arguments + ["--installation", installation.name], seconds: 60),
        named: "istbpf \(arguments[0])")
    }
    addLog(installation)
    addMetrics(settings)
    addKernel(installation, daemon)
    add("timings.txt", "how long each part took", timings.joined(separator: "\n") + "\n")
    if !missing.isEmpty {
      add("missing.txt", "what could not be had, and why", missing.joined(separator: "\n") + "\n")
    }
  }

  // MARK: Parts

  private mutating func add(_ name: String, _ purpose: String, _ text: String) {
    files.append(File(name: name, purpose: purpose, text: redaction.text(text)))
  }

  /// What a command printed. One that failed and printed nothing is missing.
  private mutating func add(
    _ name: String, _ purpose: String, _ command: CapturedCommand, named title: String
  ) {
    timings.append("\(title): \(Int(command.duration * 1000)) ms, exit status \(command.status)")
    if command.status != 0 {
      missing.append(
        redaction.text(
          "\(title) failed: \(command.errors.trimmingCharacters(in: .whitespacesAndNewlines))"))
    }
    guard !command.output.isEmpty else { return }
    add(name, purpose, command.output)
  }

  /// istbpfd and each istbpf-relay that runs.
  private static func processes(
    of installation: Installation, _ daemon: DaemonProcess?
  ) -> [(name: String, process: pid_t)] {
    let relay = RelayInstance.running(installation).map { [$0.processID] } ?? []
    let relays = Set(relay + RelayInstance.leaving(installation)).sorted()
    return (daemon.map { [("istbpfd", $0.id)] } ?? []) + relays.map { ("istbpf-relay", $0) }
  }

  private mutating func addVersions(_ installation: Installation, _ daemon: DaemonProcess?) {
    var text = "istbpf \(istbpfVersion)\n"
    for (name, process) in Self.processes(of: installation, daemon) {
      let path = "/proc/\(process)/exe"
      let version = CapturedCommand([path, "--version"]).output
      text += "\(name), process \(process): \(version)"
      text += "  \((try? FileManager.default.destinationOfSymbolicLink(atPath: path)) ?? path)\n"
    }
    for program in [
      "podman --version", "docker --version", "containerd --version", "crio --version",
      "runc --version",
      "crun --version", "haproxy -v", "etcd --version", "node --version", "systemctl --version",
    ] {
      let words = program.split(separator: " ").map(String.init)
      guard Executable.find(words[0]) != nil else { continue }
      let version = CapturedCommand(words)
      text +=
        "\(words[0]): \(version.output.split(separator: "\n").first.map(String.init) ?? "status \(version.status)")\n"
    }
    text += (try? SmallFile.read("/etc/os-release")) ?? ""
    add("versions.txt", "versions of istbpf and of what it works with", text)
  }

  /// Each key that is said. A value is shown only where its declaration says that it may be.
  private static func text(of settings: RunnerSettings) -> String {
    var text =
      "file: \(settings.file)\(SmallFile.exists(settings.file) ? "" : ", which does not exist")\n"
    for key in ConfigurationKeys.all {
      guard let origin = settings.origin(of: key), let value = settings.said(key.name) else {
        continue
      }
      text += "\(key.name) = \(key.isReported ? value : "(set, not shown)") [\(origin)]\n"
    }
    if settings.unknownKeys > 0 {
      text += "and \(settings.unknownKeys) keys that are none of istbpf's\n"
    }
    for fault in settings.faults { text += "wrong: \(fault)\n" }
    return text
  }

  private mutating func addLog(_ installation: Installation) {
    if Executable.find("journalctl") != nil, installation == .standard {
      let journal = CapturedCommand(
        [
          "journalctl", "--unit", "istbpfd", "--unit", "istbpf-relay@*", "--lines", "\(Self.lines)",
          "--no-pager", "--output",
          "short-iso-precise",
        ])
      if journal.status == 0, !journal.output.hasPrefix("-- No entries"), !journal.output.isEmpty {
        return add("log.txt", "the last log lines, of the journal", journal, named: "journalctl")
      }
    }
    addLines(of: installation.logPath, "log.txt", "istbpfd")
    // There is none where it was never needed.
    if SmallFile.exists(installation.relayLogPath) {
      addLines(of: installation.relayLogPath, "relay-log.txt", "istbpf-relay")
    }
  }

  private mutating func addLines(of path: String, _ name: String, _ program: String) {
    let text = [path + ".1", path]
      .compactMap { SmallFile.exists($0) ? try? SmallFile.read($0) : nil }.joined()
    guard !text.isEmpty else {
      missing.append("log lines: there is no journal of \(program), and no \(path)")
      return
    }
    let lines = text.split(separator: "\n").suffix(Self.lines).joined(separator: "\n")
    add(name, "the last log lines, of \(path)", lines + "\n")
  }

  private mutating func addMetrics(_ settings: RunnerSettings) {
    guard let address = settings.value("metrics.address") else {
      missing.append("metrics: metrics.address is not set")
      return
    }
    guard Executable.find("curl") != nil else {
      missing.append("metrics: there is no curl to ask for them")
      return
    }
    add(
      "metrics.txt", "the metrics, with the histograms of times",
      CapturedCommand(
        [
          "curl", "--silent", "--show-error", "--max-time", "10", "--max-filesize", "\(Self.bytes)",
          "http://\(address)/metrics",
        ]),
      named: "metrics")
  }

  private static let facts = [
    "/proc/version", "/proc/meminfo", "/proc/loadavg", "/proc/uptime", "/proc/cgroups",
    "/proc/modules",
    "/proc/sys/kernel/seccomp/actions_avail", "/proc/sys/kernel/unprivileged_bpf_disabled",
    "/proc/sys/net/core/bpf_jit_enable", "/proc/sys/net/core/somaxconn",
    "/proc/sys/net/ipv4/tcp_mem",
    "/proc/sys/net/ipv4/tcp_rmem", "/proc/sys/net/ipv4/tcp_wmem",
    "/proc/sys/net/ipv4/ip_local_port_range",
    "/proc/sys/net/ipv4/conf/all/rp_filter", "/proc/sys/net/ipv4/tcp_congestion_control",
    "/proc/sys/fs/file-nr",
    "/proc/net/tls_stat", "/sys/fs/cgroup/cgroup.controllers",
  ]

  private mutating func addKernel(_ installation: Installation, _ daemon: DaemonProcess?) {
    var text = ""
    let limits = Self.processes(of: installation, daemon).map { "/proc/\($0.process)/limits" }
    for fact in Self.facts + limits where SmallFile.exists(fact) {
      text += "# \(fact)\n\((try? SmallFile.read(fact)) ?? "cannot be read\n")"
    }
    // Of the mounts only what matters here: others may have names of servers and users in their options.
    let mounts = ((try? SmallFile.read("/proc/self/mounts")) ?? "").split(separator: "\n")
      .filter { line in
        line.split(separator: " ").dropFirst(2).first.map {
          ["cgroup2", "cgroup", "bpf", "nsfs"].contains($0)
        } ?? false
      }
    text += "# mounts\n\(mounts.joined(separator: "\n"))\n"
    for command in [
      ["ip", "-brief", "link"], ["ip", "netns", "list"], ["bpftool", "net", "show"],
      ["bpftool", "prog", "show"],
      ["bpftool", "cgroup", "tree"],
    ] where Executable.find(command[0]) != nil {
      let answer = CapturedCommand(command)
      let name = command.joined(separator: " ")
      timings.append("\(name): \(Int(answer.duration * 1000)) ms, exit status \(answer.status)")
      text += "# \(name)\n\(answer.output)\(answer.errors)\n"
    }
    add("kernel.txt", "facts of the kernel: version, modules, limits, links, BPF programs", text)
  }

  // MARK: The archive

  /// Writes it as a tar archive, mode 0600. Throws `Report.Failure` or `SystemError`.
  func write(as archive: String, directory name: String) throws {
    // mkdtemp(3) puts letters of its own choice where the six X are.
    var template = Array("\(NSTemporaryDirectory())istbpf-report.XXXXXX".utf8CString)
    // Mode 0700.
    guard let made = mkdtemp(&template) else {
      throw SystemError(.last, "make", "a temporary directory")
    }
    let place = String(cString: made)
    defer { try? FileManager.default.removeItem(atPath: place) }
    let directory = "\(place)/\(name)"
    guard mkdir(directory, 0o700) == 0 else { throw SystemError(.last, "make", directory) }
    for file in files {
      try SmallFile.replace("\(directory)/\(file.name)", with: Array(file.text.utf8), mode: 0o600)
    }
    // Made here, so that it never has another mode.
    let descriptor = open(archive, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw SystemError(.last, "create", archive) }
    close(descriptor)
    let path = URL(fileURLWithPath: archive).path
    let tar = CapturedCommand(
      [
        "tar", "--create", "--gzip", "--file", path, "--owner=0", "--group=0", "--directory", place,
        name,
      ], seconds: 120)
    guard tar.status == 0 else {
      unlink(archive)
      throw Report.Failure("cannot write \(archive): \(tar.errors)")
    }
  }
}
