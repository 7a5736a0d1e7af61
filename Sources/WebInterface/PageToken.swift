/// What a page has to know to be told anything: 32 random digits, which the command prints in the page's address.
public struct PageToken: Sendable {
  private let digits: [UInt8]

  /// A new one, from the kernel's random numbers.
  public init() {
    var generator = SystemRandomNumberGenerator()
    digits = (0..<32).map { _ in Array("0123456789abcdef".utf8)[Int(generator.next() & 15)] }
  }

  /// As it stands in an address.
  public var text: String { String(decoding: digits, as: UTF8.self) }

  /// Whether `text` is this one. It takes as long whichever digit is the first that differs.
  func isSame(as text: Substring) -> Bool {
    let other = Array(text.utf8)
    guard other.count == digits.count else { return false }
    return zip(digits, other).reduce(UInt8(0)) { $0 | ($1.0 ^ $1.1) } == 0
  }
}
