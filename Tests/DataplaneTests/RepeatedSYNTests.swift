import Testing

@testable import Dataplane

@Suite("When a caller's kernel sends its SYN again")
struct RepeatedSYNTests {
  private let second: UInt64 = 1_000_000_000

  /// Whether another SYN may be to come `now` seconds after the first, those at `seconds` being the ones that came.
  private func isDue(_ seconds: [UInt64], now: UInt64) -> Bool {
    let start: UInt64 = 77
    return RepeatedSYN.isDue(
      first: start, last: start + (seconds.last ?? 0) * second, now: start + now * second)
  }

  @Test("A caller that waits is never taken for one that gave up, however its kernel counts")
  func waiting() {
    let doubled: [UInt64] = [0, 1, 3, 7, 15, 31, 63, 127]
    let linear: [UInt64] = [0, 1, 2, 3, 4, 5, 7, 11, 19, 35, 67]
    for times in [doubled, linear] {
      for (index, next) in times.enumerated().dropFirst() {
        #expect(isDue(Array(times[..<index]), now: next + 1))
      }
    }
  }

  @Test("One that sends none any more is taken for one that gave up")
  func gaveUp() {
    #expect(!isDue([0], now: 5))
    #expect(!isDue([0, 1], now: 6))
    #expect(!isDue([0, 1, 3], now: 11))
    #expect(!isDue([0, 1, 3, 7], now: 20))
  }
}
