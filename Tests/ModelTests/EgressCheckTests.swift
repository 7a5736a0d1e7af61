import Model
import Testing

@Suite struct EgressCheckTests {
  @Test(arguments: [
    ("198.18.0.0/15:*", "the range of the deployments"),
    ("198.18.2.0/24:443", "the range of the deployments"),
    ("198.19.255.255:1", "the range of the deployments"), ("127.0.0.0/8:*", "loopback"),
    ("127.0.0.1:80", "loopback"),
  ])
  func `a rule for the range or loopback alone is refused`(text: String, reason: String) throws {
    let rules = [try EgressRule("10.0.0.0/8:*"), try EgressRule(text)]
    let error = #expect(throws: InvalidEgressRule.self) {
      try EgressRule.check(rules, against: .standard)
    }
    #expect(error?.description.contains(reason) == true, "\(error?.description ?? "")")
  }

  @Test(arguments: ["0.0.0.0/0:*", "198.0.0.0/8:443", "126.0.0.0/7:1", "198.17.255.255:1"])
  func `a wider rule is taken, and one beside them`(text: String) throws {
    try EgressRule.check([try EgressRule(text)], against: .standard)
  }

  @Test func `another range has its own`() throws {
    let plan = try #require(AddressPlan(cidr: "10.66.0.0/15"))
    try EgressRule.check([try EgressRule("198.18.2.0/24:443")], against: plan)
    #expect(throws: InvalidEgressRule.self) {
      try EgressRule.check([try EgressRule("10.67.0.0/16:443")], against: plan)
    }
  }

  @Test func `a service has a limited number of rules`() throws {
    let rules = try (1...257).map { try EgressRule("10.0.0.1:\($0)") }
    try EgressRule.check(Array(rules.dropLast()), against: .standard)
    let error = #expect(throws: InvalidEgressRule.self) {
      try EgressRule.check(rules, against: .standard)
    }
    #expect(error?.description.contains("256") == true)
  }

  @Test func `a service has a limited number of names, at any number of ports`() throws {
    let most = EgressRule.mostNamesPerService
    let rules = try (1...most).flatMap {
      [try EgressRule("host\($0).example.com:443"), try EgressRule("host\($0).example.com:80")]
    }
    try EgressRule.check(rules, against: .standard)
    let error = #expect(throws: InvalidEgressRule.self) {
      try EgressRule.check(rules + [try EgressRule("one.example.com:443")], against: .standard)
    }
    #expect(error?.description.contains("may have \(most)") == true)
  }

  @Test(arguments: [
    ("10.1.0.0/16:443", "10.1.255.255", 443, true), ("10.1.0.0/16:443", "10.2.0.0", 443, false),
    ("10.1.0.0/16:443", "10.1.0.1", 444, false), ("0.0.0.0/0:*", "203.0.113.7", 9, true),
    ("192.0.2.7:*", "192.0.2.7", 1, true), ("192.0.2.7:*", "192.0.2.6", 1, false),
  ])
  func `a rule allows its network and its port`(
    text: String, address: String, port: UInt16, isAllowed: Bool
  ) throws {
    let address = try #require(IPv4Address(address))
    let allowed = try #require(try EgressRule(text).allowedNetwork)
    #expect(allowed.allows(address, port: port) == isAllowed)
    #expect(allowed.description.hasPrefix("\(allowed.network.first)/"))
  }
}
