/// Which number comes next, where a number should be used again as late as possible.
public enum NumberPool {
  /// The lowest number of `range` that was never used, or else the one released longest ago.
  ///
  /// - Parameters:
  ///   - range: the numbers that there are.
  ///   - used: the numbers that are taken.
  ///   - released: the numbers that were taken once and are free, longest ago first.
  /// - Returns: nil if every number is taken.
  public static func next<Number: Hashable & Strideable>(
    in range: ClosedRange<Number>, used: Set<Number>, released: [Number]
  ) -> Number? where Number.Stride: SignedInteger {
    let known = used.union(released)
    return range.first { !known.contains($0) } ?? released.first { !used.contains($0) }
  }
}
