/// A case as `Programs/table.py` has it.
struct Case: Decodable, Sendable {
  /// The name of its class.
  let key: String
  /// The heading that it stands under.
  let group: String
  /// What it does, in words.
  let title: String
  /// Whether nothing else may run meanwhile.
  let isAlone: Bool
  /// Whether the wire between two hosts is cut meanwhile, which one runner has not.
  let isCut: Bool
  /// How long it may take, in seconds.
  let limit: Int
}
