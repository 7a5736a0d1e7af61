import Glibc

/// The mounts that a process sees, as /proc/<pid>/mountinfo lists them.
public struct MountTable: Sendable {
  /// One mount.
  public struct Entry: Hashable, Sendable {
    /// The directory of the file system that is mounted: `/` unless it is a bind mount.
    public let root: String
    /// Where it is mounted.
    public let mountPoint: String
    /// The file system's type, such as `cgroup2`.
    public let type: String
    /// The number of the file system's device, `254:0`: two mounts with the same one show parts of the
    /// same file system.
    public let device: String
    /// Whether the mount is read-only; the file system itself may be so too.
    public let isReadOnly: Bool
  }

  /// The mounts in the order of their making: of two at one place the later hides the earlier.
  public let entries: [Entry]

  /// A table from the text of a mountinfo file; lines that are none are left out.
  public init(parsing text: String) {
    entries = text.split(separator: "\n").compactMap { line in
      let fields = line.split(separator: " ")
      // Optional fields, as many as there may be, stand between the sixth and the hyphen: proc(5).
      guard fields.count > 7, let hyphen = fields[6...].firstIndex(of: "-"),
        hyphen + 1 < fields.count
      else { return nil }
      return Entry(
        root: Self.unescape(fields[3]), mountPoint: Self.unescape(fields[4]),
        type: String(fields[hyphen + 1]), device: String(fields[2]),
        isReadOnly: fields[5].split(separator: ",").contains("ro"))
    }
  }

  /// The mounts that the calling thread sees; throws `SystemError`.
  public static func current() throws -> MountTable {
    MountTable(parsing: try SmallFile.read("/proc/thread-self/mountinfo"))
  }

  /// The mounts that the process `process` sees; throws `SystemError`.
  public static func of(process: pid_t) throws -> MountTable {
    MountTable(parsing: try SmallFile.read("/proc/\(process)/mountinfo"))
  }

  /// The uppermost mount at exactly `path`.
  public func entry(at path: String) -> Entry? { entries.last { $0.mountPoint == path } }

  /// The kernel writes space, tab, newline and backslash as three octal digits after a backslash.
  private static func unescape(_ field: Substring) -> String {
    guard field.contains("\\") else { return String(field) }
    var bytes: [UInt8] = []
    var rest = Array(field.utf8)[...]
    while let byte = rest.popFirst() {
      if byte == UInt8(ascii: "\\"), rest.count >= 3,
        let code = UInt8(String(decoding: rest.prefix(3), as: UTF8.self), radix: 8)
      {
        bytes.append(code)
        rest = rest.dropFirst(3)
      } else {
        bytes.append(byte)
      }
    }
    return String(decoding: bytes, as: UTF8.self)
  }
}
