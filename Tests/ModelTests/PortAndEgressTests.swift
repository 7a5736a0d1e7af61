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
    let allowed = try #require(rule.allowedNetwork)
    #expect(allowed.network.first == IPv4Address(base))
    #expect(Int(allowed.network.prefixLength) == length)
    #expect(allowed.port == rule.port && allowed.port.map { Int($0.rawValue) } == port)
    #expect(rule.name == nil)
    #expect(try EgressRule(rule.description) == rule)
  }

  @Test(arguments: [
    ("api.example.com:443", "api.example.com", 443), ("API.Example.COM.:*", "api.example.com", nil),
    ("bücher.example:443", "xn--bcher-kva.example", 443),
    ("STRASSE.example:1", "strasse.example", 1),
    ("my_bucket.s3.example.com:443", "my_bucket.s3.example.com", 443),
    ("1.example.com:1", "1.example.com", 1), ("0x7f.example:1", "0x7f.example", 1),
  ])
  func `a rule is a name and a port`(text: String, name: String, port: Int?) throws {
    let rule = try EgressRule(text)
    #expect(rule.name?.rawValue == name && rule.allowedNetwork == nil)
    #expect(rule.port.map { Int($0.rawValue) } == port)
    #expect(try EgressRule(rule.description) == rule)
  }

  @Test(arguments: [
    ("10.0.0.0/8", "port is missing"), ("10.0.0.0/8:", "no port"), ("10.0.0.0/8:0", "no port"),
    ("10.0.0.0/8:65536", "no port"), ("10.0.0.0/33:1", "prefix length"),
    ("10.0.0.0/:1", "prefix length"), ("10.0.0.0/08:1", "prefix length"),
    ("10.0.0.0/8/8:1", "prefix length"), ("10.0.0.1/8:1", "10.0.0.0/8 may be meant"),
    ("::1/128:443", "IPv6 is not taken"), ("[2001:db8::1]:443", "IPv6 is not taken"),
    (":443", "names no host"), ("", "port is missing"), ("example.com", "port is missing"),
    ("https://example.com", "it is a URL"), ("https://example.com:443/v1", "it is a URL"),
    ("example.com:https", "no port"), ("example.com/24:443", "neither a prefix length"),
    ("*.example.com:443", "a wildcard stands for names that nobody can list"),
    ("*:443", "a wildcard"), ("db:5432", "write the whole name, such as db.example.com"),
    ("db.warp:5432", "the deployment's own"), ("localhost:80", "loopback is the container's own"),
    ("a.localhost.:80", "loopback is the container's own"), ("10.0.0.256:1", "ends with a number"),
    ("10.1:1", "ends with a number"), ("example.0x7f:1", "ends with a number"),
    ("a..example.com:1", "label between dots is empty"), (".com:1", "label between dots is empty"),
    ("-a.example.com:1", "hyphen"), ("a b.example.com:1", "\" \" is in no host name"),
    ("a\u{1b}.example.com:1", "is in no host name"),
    (String(repeating: "a", count: 64) + ".com:1", "more than 63 octets"),
    (String(repeating: "a.", count: 126) + "com:1", "more than 253 octets"),
    ("\u{2603}\u{fe0f}\u{200d}.example.com:1", "IDNA 2008"),
  ])
  func `a rule that is none is refused with the reason`(text: String, reason: String) {
    let error = #expect(throws: InvalidEgressRule.self) { try EgressRule(text) }
    #expect(error?.description.contains(reason) == true, "\(error?.description ?? "")")
  }
}
