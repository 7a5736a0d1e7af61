/// The text of JSON's strings, between text and bytes (RFC 8259, 7).
enum JSONString {
  /// `text` with quotes, and escapes where they must be.
  static func encoded(_ text: String) -> [UInt8] {
    var bytes = [UInt8(ascii: "\"")]
    for byte in text.utf8 {
      switch byte {
      case UInt8(ascii: "\""), UInt8(ascii: "\\"): bytes += [UInt8(ascii: "\\"), byte]
      case 0..<0x20:
        let digits = String(byte, radix: 16)
        bytes += Array(("\\u" + String(repeating: "0", count: 4 - digits.count) + digits).utf8)
      default: bytes.append(byte)
      }
    }
    return bytes + [UInt8(ascii: "\"")]
  }

  /// What `text`, with its quotes, stands for. Half a surrogate pair becomes U+FFFD, as in Go.
  static func decoded(_ text: [UInt8]) -> String {
    var units: [UInt16] = []
    var plain: [UInt8] = []
    var result = ""
    func flush() {
      result += String(decoding: units, as: UTF16.self) + String(decoding: plain, as: UTF8.self)
      (units, plain) = ([], [])
    }
    var rest = text.dropFirst().dropLast()
    while let byte = rest.popFirst() {
      if byte != UInt8(ascii: "\\") {
        if !units.isEmpty { flush() }
        plain.append(byte)
        continue
      }
      let escape = rest.popFirst() ?? byte
      if escape == UInt8(ascii: "u") {
        if !plain.isEmpty { flush() }
        units.append(UInt16(String(decoding: rest.prefix(4), as: UTF8.self), radix: 16) ?? 0xfffd)
        rest = rest.dropFirst(4)
      } else {
        if !units.isEmpty { flush() }
        plain.append(escapes[escape] ?? escape)
      }
    }
    flush()
    return result
  }

  /// What stands after a backslash for something else than itself.
  private static let escapes: [UInt8: UInt8] = [
    UInt8(ascii: "b"): 8, UInt8(ascii: "f"): 12, UInt8(ascii: "n"): 10, UInt8(ascii: "r"): 13,
    UInt8(ascii: "t"): 9,
  ]
}
