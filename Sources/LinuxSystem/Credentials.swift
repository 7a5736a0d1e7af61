import Glibc
import SystemPackage

/// Who a process is: the ids that it runs with.
public struct Credentials: Hashable, Sendable {
  /// The user id.
  public let uid: uid_t
  /// The group id.
  public let gid: gid_t
  /// The groups beside `gid`; it may contain `gid`.
  public let supplementaryGroups: [gid_t]
  /// The user's name, where the uid has one.
  public let name: String?
  /// The user's home directory, `/` where the uid has no entry.
  public let home: String
  /// The user's login shell, `/bin/sh` where the uid has none.
  public let shell: String

  /// Why no credentials could be found.
  public enum LookupError: Error, Hashable, Sendable, CustomStringConvertible {
    /// No user has this name.
    case unknownUser(String)
    /// No group has this name.
    case unknownGroup(String)
    /// The uid has no entry, so its group cannot be known, and none was given.
    case groupMissing(uid: uid_t)

    /// What is wrong, and what would be right.
    public var description: String {
      switch self {
      case .unknownUser(let name): "user '\(name)' does not exist"
      case .unknownGroup(let name): "group '\(name)' does not exist"
      case .groupMissing(let uid): "uid \(uid) has no user entry: name a group too, as \(uid):GID"
      }
    }
  }

  /// Looks up `name`, `uid`, `name:group` or `uid:gid` in the system's databases.
  ///
  /// A name comes before a number, as in Docker. Without a group, the user's own and supplementary
  /// ones are taken; with one, that one alone. Throws `LookupError`, or `SystemError` where a
  /// database cannot be read.
  public init(lookingUp user: String) throws {
    let parts = user.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
    let userPart = String(parts[0])
    let entry = try UserEntry.find(userPart)
    // uid_t.max means "leave as it is" to setresuid(2), and gid_t.max likewise.
    guard let uid = entry?.uid ?? uid_t(userPart), uid != .max else {
      throw LookupError.unknownUser(userPart)
    }
    let group = try parts.count > 1 ? Self.group(String(parts[1])) : nil
    guard let gid = group ?? entry?.gid else { throw LookupError.groupMissing(uid: uid) }
    self.uid = uid
    self.gid = gid
    supplementaryGroups = if group == nil, let entry { entry.groups() } else { [] }
    name = entry?.name
    home = entry?.home ?? "/"
    shell = entry?.shell ?? "/bin/sh"
  }

  private static func group(_ name: String) throws -> gid_t {
    var storage = group_storage()
    let found = try UserEntry.withBuffer(lookingUp: "group '\(name)'") { buffer, count in
      var result: UnsafeMutablePointer<group_storage>?
      return (getgrnam_r(name, &storage, buffer, count, &result), result.map { $0.pointee.gr_gid })
    }
    guard let gid = found ?? gid_t(name), gid != .max else { throw LookupError.unknownGroup(name) }
    return gid
  }
}

/// `struct group`, under a name that does not hide behind the local ones.
private typealias group_storage = group

/// What the user database knows of one user.
private struct UserEntry {
  let name: String
  let uid: uid_t
  let gid: gid_t
  let home: String
  let shell: String?

  /// The entry for a name, else for a number; nil where there is none.
  static func find(_ user: String) throws -> UserEntry? {
    var storage = passwd()
    let object = "user '\(user)'"
    let named = try withBuffer(lookingUp: object) { buffer, count in
      var result: UnsafeMutablePointer<passwd>?
      return (getpwnam_r(user, &storage, buffer, count, &result), result.map(Self.init))
    }
    guard named == nil, let uid = uid_t(user) else { return named }
    return try withBuffer(lookingUp: object) { buffer, count in
      var result: UnsafeMutablePointer<passwd>?
      return (getpwuid_r(uid, &storage, buffer, count, &result), result.map(Self.init))
    }
  }

  private init(_ entry: UnsafeMutablePointer<passwd>) {
    name = String(cString: entry.pointee.pw_name)
    (uid, gid) = (entry.pointee.pw_uid, entry.pointee.pw_gid)
    home = entry.pointee.pw_dir.map { String(cString: $0) } ?? "/"
    shell = entry.pointee.pw_shell.map { String(cString: $0) }.flatMap { $0.isEmpty ? nil : $0 }
  }

  /// All groups that the user is in, their own included.
  func groups() -> [gid_t] {
    var count: Int32 = 64
    while true {
      var groups = [gid_t](repeating: 0, count: Int(count))
      let room = count
      if getgrouplist(name, gid, &groups, &count) >= 0 { return Array(groups.prefix(Int(count))) }
      // It says how many there are, but not in every implementation.
      count = max(count, room * 2)
    }
  }

  /// Calls a `get..._r` function with ever more room until it has enough.
  static func withBuffer<Value>(
    lookingUp object: String,
    _ body: (UnsafeMutablePointer<CChar>, Int) -> (code: Int32, value: Value?)
  ) throws -> Value? {
    var size = 1024
    while true {
      let (code, value) = withUnsafeTemporaryAllocation(of: CChar.self, capacity: size) { buffer in
        buffer.baseAddress.map { body($0, size) } ?? (ENOMEM, nil)
      }
      switch code {
      case ERANGE where size < 1 << 24: size *= 4
      // getpwnam(3): these too may mean that there is no such entry.
      case 0, ENOENT, ESRCH: return value
      case EINTR: continue
      default: throw SystemError(Errno(rawValue: code), "look up", object)
      }
    }
  }
}
