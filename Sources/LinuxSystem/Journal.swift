import CLinux
import Glibc

/// The systemd journal, by its own protocol: entries of fields, each entry one datagram
/// (https://systemd.io/JOURNAL_NATIVE_PROTOCOL).
public struct Journal: Sendable {
  private let socket: String

  /// Where journald listens.
  public static let standardSocket = "/run/systemd/journal/socket"

  /// The journal whose socket is at `socket`.
  public init(socket: String = standardSocket) { self.socket = socket }

  /// The journal, where systemd connected this process's standard error to it and nobody has led that elsewhere since:
  /// JOURNAL_STREAM names its device and inode.
  public static func ofStandardError(
    stream: String? = getenv("JOURNAL_STREAM").map { String(cString: $0) }, descriptor: Int32 = 2
  ) -> Journal? {
    var status = stat()
    guard let stream, fstat(descriptor, &status) == 0, stream == "\(status.st_dev):\(status.st_ino)"
    else { return nil }
    return Journal()
  }

  /// Writes an entry. Names are of A-Z, 0-9 and `_`, and begin with a letter; journald passes over others. Throws
  /// `SystemError`: EMSGSIZE for some 200 KiB and more.
  public func write(_ fields: [(name: String, value: String)]) throws {
    let bytes = Self.encoded(fields)
    guard linux_unix_send_datagram(socket, bytes, bytes.count) == 0 else {
      throw SystemError(.last, "write to the journal at", socket)
    }
  }

  /// `NAME=value` and a newline; a value with a newline in it after its length: 8 bytes, little-endian.
  static func encoded(_ fields: [(name: String, value: String)]) -> [UInt8] {
    var bytes: [UInt8] = []
    for (name, value) in fields {
      bytes += name.utf8
      let value = Array(value.utf8)
      if value.contains(UInt8(ascii: "\n")) {
        bytes.append(UInt8(ascii: "\n"))
        withUnsafeBytes(of: UInt64(value.count).littleEndian) { bytes += $0 }
      } else {
        bytes.append(UInt8(ascii: "="))
      }
      bytes += value
      bytes.append(UInt8(ascii: "\n"))
    }
    return bytes
  }
}
