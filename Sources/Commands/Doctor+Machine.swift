import ControlAPI
import Dataplane
import Fabric
import Foundation
import Glibc
import LinuxSystem
import Model
import Tunnel

/// What the machine itself must have.
extension Doctor {
  static func machine() -> [Finding] {
    [
      check("user", "only root can run istbpfd and istbpf run", type: "sudo istbpf doctor") {
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
      check(
        "bpffs", "istbpfd mounts it when it starts; nothing can be pinned without", .note,
        type: "mount -t bpf bpf /sys/fs/bpf"
      ) {
        guard BPFFileSystem.isMounted() else { throw Absent("not mounted") }
        return BPFFileSystem.standardPath
      },
      check("seccomp filter", "istbpf run cannot limit socket families (CONFIG_SECCOMP_FILTER)") {
        try SmallFile.read("/proc/sys/kernel/seccomp/actions_avail").split(separator: "\n")
          .first.map(String.init) ?? ""
      },
      check(
        "network namespaces and veth", "there is no fabric (CONFIG_NET_NS, CONFIG_VETH)",
        type: "modprobe veth"
      ) {
        try FabricProbe.makeLink()
        return "made one"
      },
      check(
        "kernel TLS",
        "istbpf-relay encrypts tunnels to other runners itself, in user space; to have the kernel do it, load "
          + "`modprobe -a tls gcm ctr ghash_generic aesni_intel`, where it has these modules",
        .note, type: "modprobe -a tls gcm ctr ghash_generic aesni_intel"
      ) {
        if case .unavailable(let reason) = KernelTLS.probe() { throw Absent(reason) }
        return "in both directions"
      },
      check(
        "cutting of connections",
        "those of removed services and revoked egress rules stay until they time out "
          + "(CONFIG_INET_DIAG_DESTROY)",
        type: "modprobe -a inet_diag tcp_diag"
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

  static func features() -> [Finding] {
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

  static func daemon(_ installation: Installation) async -> Finding {
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
        consequence: "what runs goes on; nothing can be declared or started",
        type: "systemctl start istbpfd, and journalctl -u istbpfd to see why it ended")
    }
  }

  static func check(
    _ name: String, _ consequence: String, _ otherwise: Finding.Verdict = .missing,
    type: String? = nil, _ look: () throws -> String
  ) -> Finding {
    do {
      return Finding(name: name, verdict: .found, detail: try look(), consequence: consequence)
    } catch {
      return Finding(
        name: name, verdict: otherwise, detail: "\(error)", consequence: consequence, type: type)
    }
  }

  struct Absent: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
  }
}
