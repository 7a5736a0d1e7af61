import Model
import Registry
import Testing

@Suite struct RegistryErrorTests {
  @Test func `a message lists ten names and counts the rest`() {
    let known = (10...40).map { name("d\($0)") }
    let text = RegistryError.undeclaredDeployment(name("zzz"), known: known).description
    #expect(text.contains("d10, d11, d12, d13, d14, d15, d16, d17, d18, d19 and 21 more"))
    #expect(!text.contains("did you mean"))
  }

  @Test func `numbers that rest come after those never used, longest rest first`() {
    #expect(NumberPool.next(in: 2...4, used: [], released: []) == 2)
    #expect(NumberPool.next(in: 2...4, used: [2], released: [3]) == 4)
    #expect(NumberPool.next(in: 2...4, used: [2], released: [4, 3]) == 4)
    #expect(NumberPool.next(in: 2...4, used: [2, 3, 4], released: []) == nil)
  }
}
