import Model
import Testing

@Suite("A target to connect to")
struct ConnectTargetTests {
  @Test(
    "Services, host names and addresses, with and without a port",
    arguments: [
      ("db", ConnectTarget.Host.service("db"), UInt16?.none),
      ("db:5432", .service("db"), 5432), ("my.db:1", .service("my.db"), 1),
      ("DB.warp:80", .hostName("db"), 80),
      ("shop/db:80", .serviceOf(deployment: "shop", "db"), 80),
      ("192.0.2.1:443", .ipv4(.init(0xc000_0201), isMapped: false), 443),
      ("::ffff:192.0.2.1", .ipv4(.init(0xc000_0201), isMapped: true), nil),
      ("[::FFFF:192.0.2.1]:9", .ipv4(.init(0xc000_0201), isMapped: true), 9),
      ("::1", .ipv6("::1"), nil), ("[2001:DB8::1]:443", .ipv6("2001:db8::1"), 443),
    ])
  func parsed(text: String, host: ConnectTarget.Host, port: UInt16?) throws {
    let target = try ConnectTarget(text)
    #expect(target.host == host)
    #expect(target.port?.rawValue == port)
  }

  @Test(
    "What is none is refused with the reason",
    arguments: [
      "", ":80", "db:", "db:0", "db:65536", "db:x", "[db]:80", "[::1", "[::1]80", "[]:80",
    ])
  func refused(text: String) {
    #expect(throws: InvalidTarget.self) { try ConnectTarget(text) }
  }
}
