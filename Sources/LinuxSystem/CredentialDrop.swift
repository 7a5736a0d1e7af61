import CLinux
import Glibc
import SystemPackage

/// Giving up rights, for the calling thread and what it calls exec for, and for good.
public enum CredentialDrop {
  /// Becomes `credentials` with no more capabilities than `capabilities`; throws `SystemError`.
  ///
  /// Afterwards the bounding set is within `capabilities`, and the ambient and inheritable sets are
  /// empty. A thread of uid 0 has what it had of `capabilities`, permitted and effective, and exec
  /// keeps that; any other has none, and only setuid programs and files with capabilities can give
  /// it some, never one outside of the bounding set. The inheritable set is empty although the
  /// others are not, as in Docker since CVE-2022-24769: it would let a program with inheritable
  /// file capabilities raise them for an ordinary user.
  ///
  /// Only the calling thread changes, unlike with setuid(3): call it on the thread that will call
  /// exec. It needs CAP_SETPCAP, CAP_SETGID and CAP_SETUID.
  public static func apply(_ credentials: Credentials, keeping capabilities: CapabilitySet) throws {
    // In this order: each step needs a capability that a later one may take away.
    try limitBoundingSet(to: capabilities)
    guard linux_ambient_set_clear() == 0 else { throw SystemError(.last, "clear", "ambient set") }
    try become(credentials)
    let kept = try ThreadCapabilities.current().permitted.intersection(capabilities)
    // setresuid empties the sets of who leaves uid 0, unless securebits say otherwise.
    try set(credentials.uid == 0 ? kept : [])
  }

  /// Stays who it is, with no more capabilities than `capabilities`, and none of these beyond what it has; throws
  /// `SystemError`. It needs CAP_SETPCAP.
  public static func keepOnly(_ capabilities: CapabilitySet) throws {
    try limitBoundingSet(to: capabilities)
    guard linux_ambient_set_clear() == 0 else { throw SystemError(.last, "clear", "ambient set") }
    try set(try ThreadCapabilities.current().permitted.intersection(capabilities))
  }

  /// Takes every capability but `capabilities` out of the calling thread's bounding set.
  private static func limitBoundingSet(to capabilities: CapabilitySet) throws {
    for number in Int32(0)..<64 {
      let has = linux_bounding_set_has(number)
      // The kernel numbers its capabilities without gaps, so this was the last one.
      if has < 0 { return }
      guard has == 1, capabilities.rawValue >> UInt64(number) & 1 == 0 else { continue }
      guard linux_bounding_set_drop(number) == 0 else {
        throw SystemError(.last, "drop from the bounding set", "capability \(number)")
      }
    }
  }

  private static func become(_ credentials: Credentials) throws {
    let groups = credentials.supplementaryGroups
    guard linux_set_groups(groups.count, groups) == 0 else {
      throw SystemError(.last, "set supplementary groups", "\(groups)")
    }
    guard linux_set_gid(credentials.gid) == 0 else {
      throw SystemError(.last, "become group", "\(credentials.gid)")
    }
    guard linux_set_uid(credentials.uid) == 0 else {
      throw SystemError(.last, "become user", "\(credentials.uid)")
    }
  }

  private static func set(_ capabilities: CapabilitySet) throws {
    guard linux_set_capabilities(capabilities.rawValue, capabilities.rawValue, 0) == 0 else {
      throw SystemError(.last, "set", "capabilities")
    }
  }
}
