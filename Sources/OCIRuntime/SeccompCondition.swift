/// A condition of a seccomp rule on one argument of the system call.
struct SeccompCondition {
  let index: UInt64
  /// As it was read, for rules that keep it.
  let json: JSONValue
  private let value: UInt64
  private let valueTwo: UInt64
  private let comparison: String

  /// Nil where it is none.
  init?(_ json: JSONValue) {
    guard let index = json["index"]?.unsigned, let comparison = json["op"]?.string,
      let value = json["value"].map(\.unsigned) ?? 0,
      let valueTwo = json["valueTwo"].map(\.unsigned) ?? 0,
      Self.comparisons.contains(comparison)
    else { return nil }
    (self.index, self.json, self.value) = (index, json, value)
    (self.valueTwo, self.comparison) = (valueTwo, comparison)
  }

  private static let comparisons: Set<String> = [
    "SCMP_CMP_NE", "SCMP_CMP_LT", "SCMP_CMP_LE", "SCMP_CMP_EQ", "SCMP_CMP_GE", "SCMP_CMP_GT",
    "SCMP_CMP_MASKED_EQ",
  ]

  /// Whether it holds where the argument is `argument`, by seccomp_rule_add(3): 64 bits, unsigned.
  func holds(for argument: UInt64) -> Bool {
    switch comparison {
    case "SCMP_CMP_NE": argument != value
    case "SCMP_CMP_LT": argument < value
    case "SCMP_CMP_LE": argument <= value
    case "SCMP_CMP_EQ": argument == value
    case "SCMP_CMP_GE": argument >= value
    case "SCMP_CMP_GT": argument > value
    default: argument & value == valueTwo & value
    }
  }
}
