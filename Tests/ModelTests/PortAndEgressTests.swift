import Model
import Testing

@Suite struct PortAndEgressTests {
  @Test(arguments: [1, 80, 8080, 65535])
  func `a whole number from 1 to 65535 is a port`(number: Int) throws {
    #expect(Int(try PortNumber(number).rawValue) == number)
    #expect(try PortNumber("\(number)") == PortNumber(number))
  }

  @Test(arguments: ["", "0", "65536", "-1", "+80", "abc", "80 ", "080", "8_0", "99999999999", "٣"])
  func `anything else is no port`(text: String) {
    let error = #expect(throws: InvalidPort.self) { try PortNumber(text) }
    #expect(error?.text == text)
  }

  @Test(arguments: [0, 65536, -1, Int.max, Int.min])
  func `a number outside is no port`(number: Int) {
    #expect(throws: InvalidPort.self) { try PortNumber(number) }
  }

  @Test(arguments: [
    ("10.1.0.0/16:443", "10.1.0.0", 16, 443), ("192.0.2.7:5432", "192.0.2.7", 32, 5432),
    ("0.0.0.0/0:*", "0.0.0.0", 0, nil), ("128.0.0.0/1:1", "128.0.0.0", 1, 1),
  ])
  func `a rule is a network and a port`(text: String, base: String, length: Int, port: Int?) throws
  {
    let rule = try EgressRule(text)
    #expect(rule.network == IPv4Address(base))
    #expect(Int(rule.prefixLength) == length)
    #expect(rule.port.map { Int($0.rawValue) } == port)
    #expect(try EgressRule(rule.description) == rule)
  }

  @Test(arguments: [
    ("10.0.0.0/8", "port is missing"), ("10.0.0.0/8:", "no port"), ("10.0.0.0/8:0", "no port"),
    ("10.0.0.0/8:65536", "no port"), ("10.0.0.0/33:1", "prefix length"),
    ("10.0.0.0/:1", "prefix length"), ("10.0.0.0/08:1", "prefix length"),
    ("10.0.0.0/8/8:1", "prefix length"), ("10.0.0.1/8:1", "10.0.0.0/8 may be meant"),
    ("example.com:443", "no IPv4 address"), ("::1/128:443", "no IPv4 address"),
    (":443", "no IPv4 address"), ("", "port is missing"),
  ])
  func `a rule that is none is refused with the reason`(text: String, reason: String) {
    let error = #expect(throws: InvalidEgressRule.self) { try EgressRule(text) }
    #expect(error?.description.contains(reason) == true, "\(error?.description ?? "")")
  }
}
