/// What istbpfd keeps in a file of a name outside that services may connect to, for the one that starts next
/// and for `istbpf inspect`.
///
/// Times are seconds since the machine started: the files go with a restart, as what the kernel has does.
public struct SavedName: Codable, Hashable, Sendable {
  /// The name.
  public var name: String
  /// Whose rules have it: `shop/app`.
  public var services: [String]
  /// The addresses that it has.
  public var addresses: [String]
  /// Those that it had, and until when they are kept.
  public var former: [String: Double]
  /// When the resolver last answered; nil where it has not yet.
  public var answered: Double?
  /// When the time to live of `addresses` ends.
  public var validUntil: Double

  /// What is kept, from its parts.
  public init(
    name: HostName, services: [String], addresses: [IPv4Address], former: [IPv4Address: Double],
    answered: Double?, validUntil: Double
  ) {
    self.name = name.rawValue
    self.services = services
    self.addresses = addresses.map(\.description)
    self.former = Dictionary(uniqueKeysWithValues: former.map { ("\($0.key)", $0.value) })
    self.answered = answered
    self.validUntil = validUntil
  }
}
