import CLibnlRoute
import LinuxSystem
import Model
import SystemPackage

/// A deployment's private network on this runner: a network namespace with a link per instance.
///
/// It is a name; what it names may exist or not, and outlives the process.
public struct FabricNamespace: Hashable, Sendable {
  /// The name that `ip netns` knows it by.
  public let name: String
  /// The addresses that it has.
  public let plan: AddressPlan

  /// The fabric that is the namespace `name`.
  public init(name: String, plan: AddressPlan) {
    (self.name, self.plan) = (name, plan)
  }

  /// The fabric of a deployment, where the names of fabrics begin with `prefix` (`Installation.fabricPrefix`).
  public init(of deployment: DeploymentName, prefix: String, plan: AddressPlan) {
    self.init(name: prefix + deployment.rawValue, plan: plan)
  }

  /// Whether it exists.
  public var exists: Bool { NetworkNamespace.exists(named: name) }

  /// Opens it; throws `SystemError`, ENOENT where it does not exist.
  public func open() throws -> NetworkNamespace {
    do {
      return try NetworkNamespace(named: name)
    } catch let error as SystemError where error.errno == .noSuchFileOrDirectory {
      throw SystemError(
        error.errno, "open fabric", name, hint: "was the namespace deleted by hand?")
    }
  }

  /// The alias of a fabric's loopback, which `ip link` shows: another program's namespace may have a
  /// name like a fabric's.
  private static let mark = "istbpf fabric"

  /// Whether it exists and is a fabric, and not another program's; throws `SystemError`.
  public func isFabric() throws -> Bool {
    guard exists else { return false }
    return try open().perform { try NetlinkSocket().alias(of: loopback) == Self.mark }
  }

  /// Creates it, or adopts what is there with all its links, and sets it up; throws `SystemError`,
  /// EEXIST where the namespace is another program's.
  ///
  /// All is idempotent and nothing is taken away, so that traffic goes on while it is adopted. What
  /// fails leaves a new namespace deleted, and an adopted one as it is.
  public func create() throws {
    let (namespace, isNew) = try createOrOpen()
    do {
      try namespace.perform {
        let socket = try NetlinkSocket()
        try take(by: socket)
        try Self.setSysctls()
        try socket.setUp(loopback, "lo")
        // AnyIP: the kernel takes every address of the range for its own, so that the relay can
        // listen on all of them. Table main, not local: that one is read first, and would swallow
        // what is meant for the instances, whose /32 routes are in main.
        try socket.addRoute(
          .init(
            destination: plan.base, prefixLength: Int32(AddressPlan.prefixLength),
            ifindex: loopback,
            type: UInt8(RTN_LOCAL), scope: RT_SCOPE_HOST))
        // And of every address outside, for what the switch lets through by an egress rule.
        try socket.addRoute(
          .init(
            destination: IPv4Address(0), prefixLength: 0, ifindex: loopback,
            type: UInt8(RTN_LOCAL), scope: RT_SCOPE_HOST))
      }
    } catch {
      // What stays is adopted when it is created again; the error that counts is the first.
      if isNew { try? delete() }
      throw error
    }
  }

  /// Marks the calling thread's namespace as a fabric. One without any link may be what a crash left
  /// before it was marked.
  private func take(by socket: NetlinkSocket) throws {
    if try socket.alias(of: loopback) == Self.mark { return }
    guard try socket.links().isEmpty else {
      throw SystemError(
        .fileExists, "make fabric", name,
        hint: "the namespace is another program's: ip netns list shows it")
    }
    try socket.setAlias(Self.mark, of: loopback, "lo")
  }

  /// Deletes it; not an error where it does not exist. Its links end with it, unless a process or a
  /// handle still holds the namespace.
  public func delete() throws { try NetworkNamespace.delete(named: name) }

  private func createOrOpen() throws -> (NetworkNamespace, isNew: Bool) {
    if exists { return (try open(), false) }
    do {
      return (try NetworkNamespace.create(named: name), true)
    } catch let error as SystemError where error.errno == .fileExists {
      return (try open(), false)
    }
  }

  /// Settings of the calling thread's namespace: /proc/sys/net shows each thread its own.
  private static func setSysctls() throws {
    // A new namespace copies the first one's IPv4 settings, and with Docker that one forwards.
    // Only the switch passes packets between instances.
    try SmallFile.write("0", to: "/proc/sys/net/ipv4/ip_forward")
    // The relay speaks with remote instances' addresses, to which routes lead elsewhere.
    for scope in ["all", "default", "lo"] {
      try SmallFile.write("0", to: "/proc/sys/net/ipv4/conf/\(scope)/rp_filter")
    }
    for scope in ["all", "default"] {
      try disableIPv6(scope)
    }
    // As bpf/congestion.h does for the programs' ends.
    try SmallFile.write("reno", to: "/proc/sys/net/ipv4/tcp_congestion_control")
    // A SYN from an address and port that a TIME_WAIT of the relay has is not for its listener, but
    // challenged (tcp_v4_rcv), and the program waits. There is no path on which old segments linger.
    try SmallFile.write("0", to: "/proc/sys/net/ipv4/tcp_max_tw_buckets")
  }

  /// Switches IPv6 off for the link `scope` of the calling thread's namespace, where there is any.
  static func disableIPv6(_ scope: String) throws {
    let file = "/proc/sys/net/ipv6/conf/\(scope)/disable_ipv6"
    if SmallFile.exists(file) { try SmallFile.write("1", to: file) }
  }
}
