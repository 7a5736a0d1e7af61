import CLibbpf
import Glibc
import LinuxSystem

extension KernelRelease {
  /// The oldest kernel that this was tried on; bpf_set_retval alone came with 5.18.
  public static let oldestSupported = KernelRelease(6, 1)
}

/// A thing that the data path needs of the kernel's BPF, and whether this kernel has it.
public struct KernelFeature: Sendable {
  /// What it is, as the kernel's documentation calls it.
  public let name: String
  /// Whether it is there; nil where the kernel does not let this process ask.
  public let isPresent: Bool?
  /// What does not work without it.
  public let consequence: String

  /// Asks the kernel for everything that `bpf/` uses. Needs root.
  public static func probe() -> [KernelFeature] {
    let types = KernelFeature(
      name: "BTF of the kernel", isPresent: SmallFile.exists("/sys/kernel/btf/vmlinux"),
      consequence: "no program can be loaded (CONFIG_DEBUG_INFO_BTF)")
    return [types]
      + programTypes.map { type, name, consequence in
        KernelFeature(
          name: "BPF program type \(name)",
          isPresent: present(libbpf_probe_bpf_prog_type(type, nil)), consequence: consequence)
      }
      + mapTypes.map { type, name, consequence in
        KernelFeature(
          name: "BPF map type \(name)", isPresent: present(libbpf_probe_bpf_map_type(type, nil)),
          consequence: consequence)
      }
      + helpers.map { type, helper, name, consequence in
        KernelFeature(
          name: "BPF helper \(name)",
          isPresent: present(libbpf_probe_bpf_helper(type, helper, nil)), consequence: consequence)
      }
  }

  private static func present(_ answer: Int32) -> Bool? { answer < 0 ? nil : answer == 1 }

  private static let programTypes = [
    (
      BPF_PROG_TYPE_CGROUP_SOCK_ADDR, "cgroup_sock_addr",
      "connect() cannot be rewritten or denied (CONFIG_CGROUP_BPF)"
    ),
    (BPF_PROG_TYPE_CGROUP_SOCK, "cgroup_sock", "raw and other sockets cannot be denied"),
    (
      BPF_PROG_TYPE_CGROUP_SOCKOPT, "cgroup_sockopt",
      "options that lead packets past the routes cannot be denied"
    ),
    (BPF_PROG_TYPE_SK_LOOKUP, "sk_lookup", "inbound connections meet one wall only"),
    (BPF_PROG_TYPE_CGROUP_SKB, "cgroup_skb", "there is no backstop behind the socket hooks"),
    (BPF_PROG_TYPE_SOCK_OPS, "sock_ops", "instances that are starting cannot be avoided"),
    (BPF_PROG_TYPE_SCHED_CLS, "sched_cls", "there is no fabric (CONFIG_NET_CLS_BPF)"),
    (BPF_PROG_TYPE_SYSCALL, "syscall", "what an ended instance left cannot be cleared"),
  ]

  private static let mapTypes = [
    (BPF_MAP_TYPE_CGROUP_STORAGE, "cgroup_storage", "a caller has no identity"),
    (BPF_MAP_TYPE_SK_STORAGE, "sk_storage", "getpeername() shows the instance address"),
    (BPF_MAP_TYPE_HASH, "hash", "nothing works"),
    (BPF_MAP_TYPE_RINGBUF, "ringbuf", "nothing can be observed (Linux >= 5.8)"),
  ]

  private static let helpers = [
    (
      BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_FUNC_set_retval, "bpf_set_retval",
      "programs get EPERM for every refusal (Linux >= 5.18)"
    ),
    (
      BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_FUNC_get_local_storage, "bpf_get_local_storage",
      "a caller has no identity"
    ),
    (
      BPF_PROG_TYPE_SCHED_CLS, BPF_FUNC_redirect_peer, "bpf_redirect_peer",
      "instances on one runner cannot reach each other (Linux >= 5.10)"
    ),
  ]
}
