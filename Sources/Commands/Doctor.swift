import ArgumentParser
import ControlAPI
import Dataplane
import Fabric
import Foundation
import Glibc
import LinuxSystem
import Model
import Tunnel

/// Looks for everything that is needed.
struct Doctor: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "doctor",
    abstract: "Check what this machine has of what is needed, and what its absence means.",
    discussion: "Exit status 1 if something needed is missing. Works without istbpfd; ask as root.")

  @OptionGroup var output: OutputOptions
  @OptionGroup var tables: TableOptions
  @OptionGroup var options: InstallationOptions

  func run() async throws {
    try await failing {
      let installation = try options.chosen()
      let findings = Self.machine() + Self.features() + [await Self.daemon(installation)]
      if output.json {
        try printJSON(findings)
      } else {
        let rows = findings.map { finding in
          [
            finding.verdict.rawValue, finding.name,
            finding.verdict == .found
              ? finding.detail : "\(finding.detail): \(finding.consequence)",
          ]
        }
        var table = Table(["verdict", "what", "detail"], rows: rows)
        table.style = { column, cell in
          column == "verdict" ? Finding.Verdict(rawValue: cell)?.style : nil
        }
        tables.print(table)
      }
      guard !findings.contains(where: { $0.verdict == .missing }) else { throw ExitCode.failure }
    }
  }

  /// What was looked for, and what came of it.
  private struct Finding: Encodable {
    enum Verdict: String, Encodable {
      case found
      /// Needed, and not there.
      case missing
      /// Worth knowing, but nothing is wrong.
      case note

      var style: Terminal.Style {
        switch self {
        case .found: .green
        case .missing: .red
        case .note: .yellow
        }
      }
    }

    let name: String
    let verdict: Verdict
    let detail: String
    /// What its absence means.
    let consequence: String
  }

  private static func machine() -> [Finding] {
    [
      check("user", "only root can run istbpfd and istbpf run") {
        guard geteuid() == 0 else { throw Absent("uid \(geteuid())") }
        return "root"
      },
      check("Linux \(KernelRelease.oldestSupported) or later", "nothing older was tried") {
        let release = try KernelRelease.running()
        guard release >= .oldestSupported else { throw Absent("this is \(release)") }
        return "\(release)"
      },
      check("cgroup2", "programs cannot be attached to instances") {
        try CgroupHierarchy.find().mountPoint
      },
      check("bpffs", "istbpfd mounts it when it starts; nothing can be pinned without", .note) {
        guard BPFFileSystem.isMounted() else { throw Absent("not mounted") }
        return BPFFileSystem.standardPath
      },
      check("seccomp filter", "istbpf run cannot limit socket families (CONFIG_SECCOMP_FILTER)") {
        try SmallFile.read("/proc/sys/kernel/seccomp/actions_avail").split(separator: "\n")
          .first.map(String.init) ?? ""
      },
      check("network namespaces and veth", "there is no fabric (CONFIG_NET_NS, CONFIG_VETH)") {
        try FabricProbe.makeLink()
        return "made one"
      },
      check(
        "kernel TLS",
        "istbpfd encrypts tunnels to other runners itself, in user space; to have the kernel do it, load "
          + "`modprobe -a tls gcm ctr ghash_generic aesni_intel`, where it has these modules",
        .note
      ) {
        if case .unavailable(let reason) = KernelTLS.probe() { throw Absent(reason) }
        return "in both directions"
      },
      check(
        "cutting of connections",
        "those of removed services and revoked egress rules stay until they time out "
          + "(CONFIG_INET_DIAG_DESTROY)"
      ) {
        try TCPConnections.probe()
        return "SOCK_DESTROY"
      },
      check("directory of state", "istbpfd cannot keep its registry") {
        guard access("/var/lib", W_OK) == 0 else { throw Absent("/var/lib is not writable") }
        return "/var/lib"
      },
    ]
  }

  private static func features() -> [Finding] {
    KernelFeature.probe().map { feature in
      let verdict: Finding.Verdict = feature.isPresent == true ? .found : .missing
      let detail =
        switch feature.isPresent {
        case true?: "found"
        case false?: "this kernel has none"
        case nil: "the kernel does not say (root?)"
        }
      return Finding(
        name: feature.name, verdict: verdict, detail: detail, consequence: feature.consequence)
    }
  }

  private static func daemon(_ installation: Installation) async -> Finding {
    let name = "istbpfd"
    do {
      let status = try await ControlClient.connect(to: installation.controlSocketPath) {
        try await $0.getStatus(.init())
      }
      return Finding(
        name: name, verdict: .found, detail: "\(status.version), pid \(status.pid)", consequence: ""
      )
    } catch {
      return Finding(
        name: name, verdict: .note, detail: "\(error)",
        consequence: "what runs goes on; nothing can be declared or started")
    }
  }

  private static func check(
    _ name: String, _ consequence: String, _ otherwise: Finding.Verdict = .missing,
    _ look: () throws -> String
  ) -> Finding {
    do {
      return Finding(name: name, verdict: .found, detail: try look(), consequence: consequence)
    } catch {
      return Finding(name: name, verdict: otherwise, detail: "\(error)", consequence: consequence)
    }
  }

  private struct Absent: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
  }
}
