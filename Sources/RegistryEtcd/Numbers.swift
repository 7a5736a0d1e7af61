import Model
import Registry

/// The numbers of a service's instances: whose each is, and which rest.
///
/// They outlast leases: a runner that is cut off keeps its numbers, because its instances run on and
/// others hold connections to them. Only the runner itself gives one back, or `forgetRunner`.
struct InstanceNumbers: Record {
  struct Holder: Codable, Hashable, Sendable {
    var runner: String
    /// Made for one allocation: tells whether one whose answer was lost was done.
    var token: String
  }

  /// The numbers in use.
  var taken: [InstanceNumber: Holder] = [:]

  /// Numbers that were used and are free, longest ago first.
  var released: [InstanceNumber] = []

  private enum CodingKeys: String, CodingKey { case taken, released }

  init() {}

  // A dictionary whose key is a number would become an array.
  init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    for (text, holder) in try container.decode([String: Holder].self, forKey: .taken) {
      guard let number = InstanceNumber(text), AddressPlan.instanceNumbers.contains(number) else {
        throw UnreadableRecord(detail: "it has an instance number \(quoted(text))")
      }
      taken[number] = holder
    }
    released = try container.decode([InstanceNumber].self, forKey: .released)
  }

  func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(
      Dictionary(uniqueKeysWithValues: taken.map { ("\($0.key)", $0.value) }), forKey: .taken)
    try container.encode(released, forKey: .released)
  }

  /// Takes the number that is free longest; nil if there is none.
  mutating func takeNext(_ holder: Holder) -> InstanceNumber? {
    guard
      let number = NumberPool.next(
        in: AddressPlan.instanceNumbers, used: Set(taken.keys), released: released)
    else { return nil }
    take(number, holder)
    return number
  }

  /// Takes `number`, which is free.
  mutating func take(_ number: InstanceNumber, _ holder: Holder) {
    released.removeAll { $0 == number }
    taken[number] = holder
  }

  /// Gives `number` back, if it is `runner`'s.
  ///
  /// - Returns: whether it was.
  @discardableResult
  mutating func release(_ number: InstanceNumber, of runner: String) -> Bool {
    guard isTaken(number, by: runner) else { return false }
    taken[number] = nil
    released.removeAll { $0 == number }
    released.append(number)
    return true
  }

  /// Whether `number` is `runner`'s.
  func isTaken(_ number: InstanceNumber, by runner: String) -> Bool {
    taken[number]?.runner.isSame(as: runner) == true
  }

  /// The numbers that are `runner`'s.
  func numbers(of runner: String) -> [InstanceNumber] {
    taken.filter { $0.value.runner.isSame(as: runner) }.keys.sorted()
  }
}

/// The numbers of a deployment's services that were used and are free.
struct ServiceNumbers: Record {
  struct Released: Codable, Hashable, Sendable {
    var number: ServiceNumber
    /// The service that had it, and finds it again.
    var name: ServiceName
  }

  /// Longest ago first.
  var released: [Released] = []

  /// Made for one declaration: tells whether one whose answer was lost was done.
  var change = ""
}
