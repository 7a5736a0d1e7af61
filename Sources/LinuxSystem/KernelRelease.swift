import Glibc
import SystemPackage

/// The release of a Linux kernel, as far as it can be compared: 6.1 < 6.1.12 < 6.18.
public struct KernelRelease: Hashable, Comparable, Sendable {
  /// The first number of the release.
  public let major: Int
  /// The second number.
  public let minor: Int
  /// The third number, 0 where there is none.
  public let patch: Int

  /// A release from its numbers.
  public init(_ major: Int, _ minor: Int, _ patch: Int = 0) {
    (self.major, self.minor, self.patch) = (major, minor, patch)
  }

  /// A release from what `uname -r` prints, such as `6.1.0-18-amd64`; nil where it is none.
  public init?(_ text: String) {
    let numbers = text.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }.split(separator: ".")
    guard numbers.count >= 2, text.first?.isNumber == true, let major = Int(numbers[0]),
      let minor = Int(numbers[1])
    else { return nil }
    self.init(major, minor, numbers.count > 2 ? Int(numbers[2]) ?? 0 : 0)
  }

  /// The running kernel's release; throws `SystemError`.
  public static func running() throws -> KernelRelease {
    var name = utsname()
    guard uname(&name) == 0 else { throw SystemError(.last, "ask for", "the kernel's release") }
    let text = withUnsafeBytes(of: &name.release) {
      String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
    }
    guard let release = KernelRelease(text) else {
      throw SystemError(.invalidArgument, "understand kernel release", "'\(text)'")
    }
    return release
  }

  /// Whether `left` came before `right`.
  public static func < (left: Self, right: Self) -> Bool {
    (left.major, left.minor, left.patch) < (right.major, right.minor, right.patch)
  }
}

extension KernelRelease: CustomStringConvertible {
  /// The three numbers.
  public var description: String { "\(major).\(minor).\(patch)" }
}
