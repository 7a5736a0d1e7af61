import Foundation

/// Takes secrets out of a text that may leave the machine: those that are known, and whatever has the form of one.
///
/// It is the second line: nothing secret is gathered in the first place.
struct Redaction {
  private let secrets: [String]

  /// What stands for a secret.
  static let mark = "[removed]"

  /// Takes these out, longer ones first, since one may hold another.
  init(_ secrets: Set<String>) { self.secrets = secrets.sorted { $0.utf8.count > $1.utf8.count } }

  func text(_ text: String) -> String {
    var text = text
    for secret in secrets {
      // As it is, and as JSON and URLs write it.
      let forms = [
        secret, secret.addingPercentEncoding(withAllowedCharacters: .alphanumerics) ?? secret,
        secret.addingPercentEncoding(withAllowedCharacters: .urlPasswordAllowed) ?? secret,
        Self.inJSON(secret, []), Self.inJSON(secret, .withoutEscapingSlashes),
      ]
      for form in Set(forms).sorted(by: { $0.count > $1.count }) where !form.isEmpty {
        text = text.replacingOccurrences(of: form, with: Self.mark)
      }
    }
    return Self.withoutUser(Self.withoutKeys(text))
  }

  private static func inJSON(_ text: String, _ formatting: JSONEncoder.OutputFormatting) -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = formatting
    guard let data = try? encoder.encode(text) else { return text }
    return String(decoding: data.dropFirst().dropLast(), as: UTF8.self)
  }

  /// Without the user and password of URLs: `https://[removed]@host`.
  static func withoutUser(_ text: String) -> String {
    text.replacing(/:\/\/[^\/\s@"']+@/) { _ in "://\(mark)@" }
  }

  /// Without private keys in PEM.
  private static func withoutKeys(_ text: String) -> String {
    text.replacing(/-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(-----END [A-Z ]*PRIVATE KEY-----|$)/)
    { _ in mark }
  }
}
