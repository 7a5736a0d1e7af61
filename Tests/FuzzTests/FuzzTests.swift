import FuzzTargets
import Testing

/// Every target of Scripts/fuzz with inputs that are the same each time: seeds, and what becomes of
/// them when bytes are changed, left out, doubled and cut off. Coverage guides libFuzzer further.
@Suite("Bytes from strangers", .timeLimit(.minutes(5)))
struct FuzzTests {
  @Test(
    "Nothing that is made of a good input ends the process", arguments: FuzzTarget.all.map(\.name))
  func mutations(name: String) throws {
    let target = try #require(FuzzTarget.all.first { $0.name == name })
    #expect(!target.seeds.isEmpty)
    var generator = Generator(state: 1)
    for seed in target.seeds { target.run(seed) }
    target.run([])
    for _ in 0..<target.tries {
      var bytes = target.seeds.randomElement(using: &generator) ?? []
      for _ in 0...Int.random(in: 0..<6, using: &generator) { mutate(&bytes, &generator) }
      target.run(bytes)
    }
  }

  private func mutate(_ bytes: inout [UInt8], _ generator: inout Generator) {
    let place = Int.random(in: 0...bytes.count, using: &generator)
    switch Int.random(in: 0..<6, using: &generator) {
    case 0: bytes.insert(.random(in: 0...255, using: &generator), at: place)
    case 1: bytes.removeSubrange(place...)
    case 2: bytes += bytes.suffix(place)
    case 3 where place < bytes.count: bytes.remove(at: place)
    case 4 where place < bytes.count: bytes[place] = [0, 1, 127, 128, 255][place % 5]
    case _ where place < bytes.count:
      bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
    default: break
    }
  }

  private struct Generator: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return state ^ state >> 29
    }
  }
}
