import CertificateAuthority
import ControlAPI
import Dataplane
import EngineConfiguration
import Foundation
import Glibc
import LinuxSystem
import Model
import Relay

/// What is around an installation and breaks it: units, other programs on the hooks, firewalls, clocks.
struct Surroundings {
  let installation: Installation
  /// Nil where none runs.
  let daemon: DaemonProcess?
  let settings: RunnerSettings
  /// What the daemon says; nil where it does not answer.
  let status: Istbpf_Control_V1_GetStatusResponse?

  /// Everything that was looked at.
  func findings() -> [Finding] {
    configuration() + unit() + limits() + otherPrograms() + engines() + certificates()
      + clock() + etcd() + tunnelLink() + fabrics() + firewall() + paths()
  }

  // MARK: What was configured

  private func configuration() -> [Finding] {
    settings.faults.isEmpty
      ? []
      : settings.faults.map {
        .problem(
          "configuration", $0.description,
          "istbpfd does not start with it, and takes nothing of it over",
          type: "istbpfd --check-config \(settings.file)")
      }
  }

  /// Where systemd looks for units, the first first (systemd.unit(5)).
  private static let unitDirectories = [
    "/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system", "/lib/systemd/system",
  ]

  private func unit() -> [Finding] {
    let (daemon, relay) = ("istbpfd.service", "istbpf-relay@.service")
    if let path = Self.maskedUnit(daemon) {
      return [
        .problem(
          "unit", "\(daemon) is masked by \(path)",
          "systemd starts istbpfd neither by hand nor at boot",
          type: "systemctl unmask \(daemon) && systemctl enable --now \(daemon)")
      ]
    }
    if let path = Self.maskedUnit(relay) {
      return [
        .problem(
          "unit", "\(relay) is masked by \(path)",
          "systemd does not start istbpf-relay, which carries connections with other runners and outside",
          type: "systemctl unmask \(relay) && systemctl restart istbpfd")
      ]
    }
    guard let path = Self.unitFile(daemon) else {
      return [.note("unit", "there is no \(daemon)", "nothing starts istbpfd at boot")]
    }
    return [.found("unit", path)]
  }

  /// The file that systemd takes for a unit; nil where there is none.
  private static func unitFile(_ name: String) -> String? {
    unitDirectories.lazy.map { "\($0)/\(name)" }.first { path in
      var status = stat()
      return lstat(path, &status) == 0
    }
  }

  /// The file by which a unit is masked: an empty one, or a link to /dev/null. Nil where it is not.
  private static func maskedUnit(_ name: String) -> String? {
    guard let path = unitFile(name) else { return nil }
    var status = stat()
    let target = try? FileManager.default.destinationOfSymbolicLink(atPath: path)
    let isEmpty = target == nil && lstat(path, &status) == 0 && status.st_size == 0
    return target == "/dev/null" || isEmpty ? path : nil
  }

  private func limits() -> [Finding] {
    guard let relay = status?.relay.pid, relay != 0 else { return [] }
    let wanted = RelayConfiguration.descriptorsWanted
    guard let limit = Self.hardLimit("Max open files", of: relay), limit < wanted else {
      return [.found("ulimit of open files", "enough for all connections")]
    }
    return [
      .problem(
        "ulimit of open files",
        "istbpf-relay may have \(limit) descriptors, and needs \(wanted) for all connections",
        "those with other runners and outside fail beyond what that is enough for",
        type:
          "systemctl edit istbpf-relay@, with [Service] LimitNOFILE=\(wanted), and istbpf runner restart-relay"
      )
    ]
  }

  /// A limit of a process as /proc/PID/limits has it: `Max open files`; nil for unlimited.
  private static func hardLimit(_ name: String, of process: Int32) -> Int? {
    let line = (try? SmallFile.read("/proc/\(process)/limits"))?.split(separator: "\n")
      .first { $0.hasPrefix(name) }
    return line?.dropFirst(name.count).split(separator: " ").dropFirst().first.flatMap { Int($0) }
  }

  private func engines() -> [Finding] {
    var findings: [Finding] = []
    for engine in ConfigurableEngine.allCases {
      guard let text = try? String(contentsOfFile: engine.standardPath, encoding: .utf8) else {
        continue
      }
      let name = "runtime of \(engine.rawValue)"
      let type = "istbpf runtime configure --engine \(engine.rawValue)"
      do {
        let without = try engine.editor.removing(from: text)
        // The runtime is not in it.
        guard without != text else { continue }
      } catch {
        findings.append(
          .problem(
            name, "\(engine.standardPath): \(error)", "no container becomes an instance", type: type
          ))
        continue
      }
      let path = Self.runtimePath(in: text)
      guard let path else {
        findings.append(
          .problem(
            name,
            "\(engine.standardPath) has a runtime \(RuntimeEntry.name) without a path to istbpf-oci",
            "its containers are not instances", type: type))
        continue
      }
      guard access(path, X_OK) == 0 else {
        findings.append(
          .problem(
            name, "\(engine.standardPath) names \(path), which is not there or no program",
            "no container starts with the runtime \(RuntimeEntry.name)", type: type))
        continue
      }
      if engine == .docker, let runtimes = Self.runtimesOfDocker(),
        !runtimes.contains(RuntimeEntry.name)
      {
        findings.append(
          .problem(
            name, "\(engine.standardPath) names it, but dockerd has not read that yet",
            "no container starts with the runtime \(RuntimeEntry.name)", type: engine.reload))
        continue
      }
      findings.append(.found(name, "\(path), in \(engine.standardPath)"))
    }
    if let runtime = settings.value("oci.runtime"), access(runtime, X_OK) != 0 {
      findings.append(
        .problem(
          "oci.runtime", "\(runtime) is not there or no program",
          "no container starts with istbpf-oci",
          type: "apt install runc, or set oci.runtime in \(settings.file)"))
    }
    return findings
  }

  /// The names of the runtimes that dockerd knows; nil where it does not run.
  private static func runtimesOfDocker() -> Set<String>? {
    let names = "{{range $name, $_ := .Runtimes}}{{$name}} {{end}}"
    let info = CapturedCommand(["docker", "info", "--format", names], seconds: 10)
    return info.status == 0 ? Set(info.output.split(separator: " ").map(String.init)) : nil
  }

  /// The absolute path in the double quotes that ends with istbpf-oci's name; nil where there is none.
  private static func runtimePath(in text: String) -> String? {
    text.split(separator: "\"").map(String.init)
      .first { $0.hasPrefix("/") && $0.hasSuffix("istbpf-oci") && !$0.contains("\n") }
  }

  // MARK: What else is on the hooks

  private func otherPrograms() -> [Finding] {
    let name = "other BPF on the hooks"
    guard geteuid() == 0, let hierarchy = try? CgroupHierarchy.find() else { return [] }
    let root = hierarchy.mountPoint
    var paths: Set<String> = [root]
    let instances = status?.deployments.flatMap(\.instances).map(\.cgroupPath) ?? []
    for path in instances + [hierarchy.cgroup(installation.cgroupName).path] {
      var path = path
      while path.count > root.count, path.hasPrefix(root + "/") {
        paths.insert(path)
        path = (path as NSString).deletingLastPathComponent
      }
    }
    do {
      let others = try OtherProgram.list(on: paths.sorted())
      guard !others.isEmpty else { return [.found(name, "none on \(paths.count) cgroups")] }
      return others.map { other in
        .note(
          name,
          "program \(other.id) \(other.name.isEmpty ? "without a name" : other.name) is on \(other.hook) of "
            + other.cgroup,
          "it may refuse or redirect what istbpf lets through",
          type: "bpftool prog show id \(other.id); bpftool cgroup tree \(other.cgroup)")
      }
    } catch { return [.note(name, "\(error)", "it is not known what else is there")] }
  }

  // MARK: Certificates

  /// How long before its end a certificate is worth a problem, in days.
  private static let notice = 14

  private func certificates() -> [Finding] {
    let runner = settings.value("runnerName") ?? "RUNNER"
    let issue = "istbpf ca issue \(runner), and put \(runner).crt and \(runner).key in place"
    var findings: [Finding] = []
    for (key, type) in [
      ("tunnel.certificate", issue),
      ("tunnel.authorities", "istbpf ca rotate, on the authority's machine"),
      ("etcd.certificate", "renew it with etcd's authority"),
      ("etcd.authorities", "renew it with etcd's authority"),
    ] {
      guard let file = settings.said(key) else { continue }
      findings.append(certificate("\(key)", file, type))
    }
    if let directory = settings.said("frontDoor.certificates"),
      let files = try? DirectoryListing.names(in: directory)
    {
      for file in files.sorted() where file.hasSuffix(".pem") {
        findings.append(
          certificate(
            "frontDoor.certificates", "\(directory)/\(file)", "renew it with its authority"))
      }
    }
    return findings
  }

  private func certificate(_ name: String, _ file: String, _ type: String) -> Finding {
    do {
      let text = try String(contentsOfFile: file, encoding: .utf8)
      let times = try CertificateTimes.all(inPEM: text)
      guard let last = times.map(\.notAfter).min(), let first = times.map(\.notBefore).max() else {
        return .problem(name, "\(file) has no certificate", "it cannot be used", type: type)
      }
      let now = Date()
      guard first <= now else {
        return .problem(
          name,
          "\(file) is valid from \(first.formatted(.iso8601)) on, and here it is \(now.formatted(.iso8601))",
          "a clock is wrong, here or where it was made; until then it is refused",
          type: "timedatectl set-ntp true")
      }
      let left = last.timeIntervalSince(now)
      let days = Int(left / 86_400)
      guard left > 0 else {
        return .problem(
          name, "\(file) ended at \(last.formatted(.iso8601))", "no new connection is made with it",
          type: type)
      }
      guard days >= Self.notice else {
        return .problem(
          name, "\(file) ends in \(days) days, at \(last.formatted(.iso8601))",
          "no new connection is made with it from then on", type: type)
      }
      return .found(name, "ends in \(days) days")
    } catch {
      return .problem(
        name, "\(file) cannot be read: \(error.localizedDescription)", "it cannot be used",
        type: type)
    }
  }
}
