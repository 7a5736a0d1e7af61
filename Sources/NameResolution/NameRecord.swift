import Model

/// How long what is known of names holds.
public struct NameLimits: Sendable, Hashable {
  /// How many seconds an address stays that is in no answer any more: programs keep answers for minutes.
  public var keepsFormer: Double
  /// How many seconds the last answer holds beyond its time to live while the resolver fails.
  public var keepsOnFailure: Double

  /// Limits from their parts.
  public init(keepsFormer: Double = 300, keepsOnFailure: Double = 3600) {
    self.keepsFormer = keepsFormer
    self.keepsOnFailure = keepsOnFailure
  }

  /// The seconds between two looks at a name, whatever the time to live of its records is.
  static let betweenLooks = 5.0...300.0
  /// The same after an answer that the name has no address, and at most after failures.
  static let afterNothing = (none: 30.0, failure: 60.0)
  /// How many addresses of an answer are taken.
  public static let mostAddresses = 32
  /// How many addresses are kept that are in no answer any more; the oldest give way.
  static let mostFormer = 224
}

/// What a look at a name came to.
enum LookupOutcome: Sendable, Hashable {
  /// It has these addresses, for so many seconds.
  case addresses([IPv4Address], seconds: Double)
  /// The resolver says that it has none, and why.
  case none(String)
  /// The resolver gave no answer, and why.
  case failure(String)
}

/// What is known of a name: which addresses it has, and how long that holds.
public struct NameRecord: Sendable, Hashable {
  /// The addresses of the last answer that had any, in its order, as far as they may be opened.
  public private(set) var addresses: [IPv4Address] = []
  /// Addresses that the name had, and until when they are kept.
  public private(set) var former: [IPv4Address: BootTime] = [:]
  /// Addresses of the last answer that must not be opened, and why.
  public private(set) var refused: [IPv4Address: String] = [:]
  /// How many addresses of the last answer were too many.
  public private(set) var surplus = 0
  /// Why the last look brought no address; nil where it did.
  public private(set) var problem: String?
  /// When the resolver last answered; nil where it has not yet.
  public private(set) var answered: BootTime?
  /// When the time to live of `addresses` ends.
  public private(set) var validUntil: BootTime = 0
  /// When it is looked at again.
  public private(set) var nextLook: BootTime = 0
  /// Whether it was looked at, successfully or not.
  public private(set) var isLookedUp = false
  private var failures = 0

  /// A name of which nothing is known.
  public init() {}

  /// The addresses that may be connected to at `now`: those that the name has, and those it had a moment
  /// ago.
  public func open(at now: BootTime, _ limits: NameLimits) -> [IPv4Address] {
    let current = now < validUntil + limits.keepsOnFailure ? addresses : []
    return current
      + former.filter { $0.value > now && !current.contains($0.key) }.keys.sorted()
  }

  /// The addresses to tell programs: those that the name has, or, where it has none, had a moment ago.
  public func listed(at now: BootTime, _ limits: NameLimits) -> [IPv4Address] {
    let open = open(at: now, limits)
    let current = open.filter(addresses.contains)
    return current.isEmpty ? open : current
  }

  /// Whether the name had addresses, and has lost them since the resolver failed for too long.
  public var isClosed: Bool { isLookedUp && addresses.isEmpty && former.isEmpty }

  // MARK: Changes

  /// Takes over what a look came to. `objection` says why an address must not be opened.
  mutating func take(
    _ outcome: LookupOutcome, at now: BootTime, _ limits: NameLimits,
    objection: (IPv4Address) -> String?
  ) {
    isLookedUp = true
    switch outcome {
    case .addresses(let found, let seconds):
      let lasting = min(
        max(seconds, NameLimits.betweenLooks.lowerBound), NameLimits.betweenLooks.upperBound)
      replace(by: found, at: now, limits, objection: objection)
      problem = addresses.isEmpty ? "every address that it has is refused" : nil
      (answered, validUntil, failures) = (now, now + lasting, 0)
      // Not all at once that were first looked at together.
      nextLook = now + max(lasting * .random(in: 0.9...1), NameLimits.betweenLooks.lowerBound)
    case .none(let reason):
      replace(by: [], at: now, limits, objection: objection)
      (problem, answered, validUntil, failures) = (reason, now, now, 0)
      nextLook = now + NameLimits.afterNothing.none
    case .failure(let reason):
      problem = reason
      let delay = NameLimits.betweenLooks.lowerBound * Double(1 << min(failures, 4))
      nextLook = now + min(delay, NameLimits.afterNothing.failure) * .random(in: 0.9...1)
      failures += 1
      expire(at: now, limits)
    }
  }

  private mutating func replace(
    by found: [IPv4Address], at now: BootTime, _ limits: NameLimits,
    objection: (IPv4Address) -> String?
  ) {
    var new: [IPv4Address] = []
    refused = [:]
    surplus = 0
    var seen: Set<IPv4Address> = []
    for address in found where seen.insert(address).inserted {
      if new.count + refused.count == NameLimits.mostAddresses {
        surplus += 1
      } else if let objection = objection(address) {
        refused[address] = objection
      } else {
        new.append(address)
      }
    }
    for address in addresses where !new.contains(address) {
      former[address] = now + limits.keepsFormer
    }
    for address in new { former[address] = nil }
    addresses = new
    former = former.filter { $0.value > now && objection($0.key) == nil }
    bound()
  }

  private mutating func bound() {
    while former.count > NameLimits.mostFormer, let oldest = former.min(by: { $0.value < $1.value })
    {
      former[oldest.key] = nil
    }
  }

  /// Drops what does not hold any more.
  mutating func expire(at now: BootTime, _ limits: NameLimits) {
    former = former.filter { $0.value > now }
    if now >= validUntil + limits.keepsOnFailure { addresses = [] }
  }

  /// Keeps an address for some seconds more, that connections in progress use.
  mutating func keep(_ address: IPv4Address, until end: BootTime) {
    guard !addresses.contains(address) else { return }
    former[address] = max(former[address] ?? 0, end)
    bound()
  }

  /// When `expire` has something to do next, if no answer comes; nil for never.
  func nextExpiry(_ limits: NameLimits) -> BootTime? {
    let closing = addresses.isEmpty ? nil : validUntil + limits.keepsOnFailure
    return [former.values.min(), closing].compactMap { $0 }.min()
  }

  /// Whether another record says the same to programs and people, but for times.
  func isLike(_ other: NameRecord) -> Bool {
    Set(addresses) == Set(other.addresses) && Set(former.keys) == Set(other.former.keys)
      && refused == other.refused && surplus == other.surplus && problem == other.problem
      && isLookedUp == other.isLookedUp
  }

  /// Whether it failed at the last look.
  var isFailing: Bool { failures > 0 }
}

// MARK: For the next process

extension NameRecord {
  /// What an earlier process saved, as far as it goes on; the name is to be looked at anew at once. Nil
  /// where that is damaged.
  public init?(_ saved: SavedName) {
    let addresses = saved.addresses.compactMap { IPv4Address($0) }
    let former = saved.former.compactMap { text, end in IPv4Address(text).map { ($0, end) } }
    guard addresses.count == saved.addresses.count, former.count == saved.former.count else {
      return nil
    }
    self.addresses = addresses
    self.former = Dictionary(former, uniquingKeysWith: { first, _ in first })
    answered = saved.answered
    validUntil = saved.validUntil
  }

  /// What goes on in the next process.
  public func saved(_ name: HostName, of services: [String]) -> SavedName {
    SavedName(
      name: name, services: services, addresses: addresses, former: former, answered: answered,
      validUntil: validUntil)
  }
}
