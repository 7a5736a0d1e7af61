/// A difference from the direct path that is known, as `Programs/known.py` has it.
struct KnownDifference: Decodable, Sendable {
  /// The case's key.
  let key: String
  /// The paths on which it shows.
  let paths: [Path]
  /// The labels under which it shows, as `client: connect`; empty for any.
  let labels: [String]
  /// Why, in a line for the documentation.
  let reason: String
  /// Whether it shows each time; if not, the suite does not ask for it.
  let isCertain: Bool
}
