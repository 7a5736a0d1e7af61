import Model
import Testing

@Suite struct AddressPlanTests {
  @Test func `the range holds the 510 services' blocks and the fabric's own, apart`() {
    let plan = AddressPlan.standard
    var seen: Set<IPv4Address> = [plan.gateway]
    for service in AddressPlan.serviceNumbers {
      let addresses =
        [plan.serviceAddress(service)]
        + AddressPlan.instanceNumbers.map { plan.instanceAddress(service, $0) }
      for address in addresses {
        #expect(plan.offset(of: address).map { $0 >> 8 } == UInt32(service))
        seen.insert(address)
      }
    }
    #expect(seen.count == 1 + 510 * 254)
    #expect(seen.allSatisfy(plan.contains))
  }

  @Test func `addresses are where the documentation says`() {
    let plan = AddressPlan.standard
    #expect("\(plan)" == "198.18.0.0/15")
    #expect("\(plan.gateway)" == "198.18.0.1")
    #expect("\(plan.serviceAddress(2))" == "198.18.2.1")
    #expect("\(plan.instanceAddress(2, 254))" == "198.18.2.254")
    #expect("\(plan.serviceAddress(510))" == "198.19.254.1")
    #expect(!plan.contains(IPv4Address(0xc611_ffff)))
    #expect(!plan.contains(IPv4Address(0xc614_0000)))
  }

  @Test(arguments: [
    "", "198.18.0.0", "198.18.0.0/16", "198.19.0.0/15", "198.18.0.1/15", "127.0.0.0/15",
    "0.0.0.0/15", "224.0.0.0/15", "198.18.0.0/15/15", "198.018.0.0/15", "::/15",
  ])
  func `a range that is no /15 of ordinary addresses is refused`(cidr: String) {
    #expect(AddressPlan(cidr: cidr) == nil)
  }

  @Test func `another /15 can be the range`() throws {
    let plan = try #require(AddressPlan(cidr: "10.4.0.0/15"))
    #expect("\(plan.instanceAddress(256, 2))" == "10.5.0.2")
  }
}
