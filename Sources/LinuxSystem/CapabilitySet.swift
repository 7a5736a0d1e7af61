import CLinux
import Glibc
import SystemPackage

/// A set of capabilities(7); bit n is capability n of linux/capability.h.
public struct CapabilitySet: OptionSet, Sendable {
  /// The bits.
  public let rawValue: UInt64

  /// A set from its bits.
  public init(rawValue: UInt64) { self.rawValue = rawValue }

  private init(number: Int) { self.init(rawValue: 1 << UInt64(number)) }

  /// CAP_CHOWN
  public static let chown = CapabilitySet(number: 0)
  /// CAP_DAC_OVERRIDE
  public static let dacOverride = CapabilitySet(number: 1)
  /// CAP_DAC_READ_SEARCH
  public static let dacReadSearch = CapabilitySet(number: 2)
  /// CAP_FOWNER
  public static let fowner = CapabilitySet(number: 3)
  /// CAP_FSETID
  public static let fsetid = CapabilitySet(number: 4)
  /// CAP_KILL
  public static let kill = CapabilitySet(number: 5)
  /// CAP_SETGID
  public static let setgid = CapabilitySet(number: 6)
  /// CAP_SETUID
  public static let setuid = CapabilitySet(number: 7)
  /// CAP_SETPCAP
  public static let setpcap = CapabilitySet(number: 8)
  /// CAP_NET_BIND_SERVICE
  public static let netBindService = CapabilitySet(number: 10)
  /// CAP_NET_ADMIN
  public static let netAdmin = CapabilitySet(number: 12)
  /// CAP_NET_RAW
  public static let netRaw = CapabilitySet(number: 13)
  /// CAP_SYS_CHROOT
  public static let sysChroot = CapabilitySet(number: 18)
  /// CAP_SYS_PTRACE
  public static let sysPtrace = CapabilitySet(number: 19)
  /// CAP_SYS_ADMIN
  public static let sysAdmin = CapabilitySet(number: 21)
  /// CAP_SYS_RESOURCE
  public static let sysResource = CapabilitySet(number: 24)
  /// CAP_MKNOD
  public static let mknod = CapabilitySet(number: 27)
  /// CAP_AUDIT_WRITE
  public static let auditWrite = CapabilitySet(number: 29)
  /// CAP_SETFCAP
  public static let setfcap = CapabilitySet(number: 31)
  /// CAP_BPF
  public static let bpf = CapabilitySet(number: 39)

  /// What istbpf-relay needs: namespaces to make sockets in (SYS_ADMIN), sockets with others' addresses (NET_ADMIN) and
  /// low ports, a packet socket for SYNs that are played again (NET_RAW), pinned maps (BPF), descriptors
  /// (SYS_RESOURCE), files of the identity that others own, and a group for HAProxy's sockets.
  public static let carrier: CapabilitySet = [
    .sysAdmin, .netAdmin, .netBindService, .netRaw, .bpf, .sysResource, .dacReadSearch, .chown,
  ]

  /// What Docker gives a container, without NET_RAW (packet sockets pass every cgroup hook by) and
  /// MKNOD. NET_ADMIN, BPF, SYS_ADMIN and SYS_PTRACE are in neither.
  public static let containerDefault: CapabilitySet = [
    .chown, .dacOverride, .fowner, .fsetid, .kill, .setgid, .setuid, .setpcap, .netBindService,
    .sysChroot, .auditWrite, .setfcap,
  ]
}

/// The capabilities of the calling thread.
public struct ThreadCapabilities: Hashable, Sendable {
  /// What the kernel checks.
  public let effective: CapabilitySet
  /// What may be made effective.
  public let permitted: CapabilitySet
  /// What a file's inheritable capabilities are cut down to.
  public let inheritable: CapabilitySet

  /// Reads them; throws `SystemError`.
  public static func current() throws -> ThreadCapabilities {
    var (effective, permitted, inheritable): (UInt64, UInt64, UInt64) = (0, 0, 0)
    guard linux_get_capabilities(&effective, &permitted, &inheritable) == 0 else {
      throw SystemError(.last, "read", "capabilities")
    }
    return ThreadCapabilities(
      effective: CapabilitySet(rawValue: effective), permitted: CapabilitySet(rawValue: permitted),
      inheritable: CapabilitySet(rawValue: inheritable))
  }
}

extension CapabilitySet: Hashable {}
