/// Something that takes bytes from strangers. A target ends the process where it finds a fault:
/// Swift's own checks do, and `precondition` for what must hold.
///
/// To add one: a file with the target, and its line in `all`. Scripts/fuzz and FuzzTests then run it.
public struct FuzzTarget: Sendable {
  /// What Scripts/fuzz knows it by.
  public let name: String
  /// Good inputs, from which others are made.
  public let seeds: [[UInt8]]
  /// How many inputs the tests try, so that they take about a second.
  public let tries: Int
  /// Takes the bytes.
  public let run: @Sendable ([UInt8]) -> Void

  /// A target from its parts.
  public init(
    _ name: String, tries: Int = 20_000, seeds: [[UInt8]],
    run: @escaping @Sendable ([UInt8]) -> Void
  ) {
    (self.name, self.tries, self.seeds, self.run) = (name, tries, seeds, run)
  }

  /// All there are.
  public static let all = [
    preface, answer, frameHeader, runnerNames, records, tunnel, heldFrame, containerConfiguration,
    containerState, declaration, hostsFile, egressRule, relayCommand, handOver,
  ]
}
