import Model
import Testing

@Suite struct PublicNameTests {
  private func service(
    _ deployment: String, _ name: String, isPrivate: Bool = false
  ) throws -> Service {
    Service(
      deployment: try DeploymentName(deployment), name: try ServiceName(name), number: 1,
      isPrivate: isPrivate)
  }

  private func label(_ service: String, _ deployment: String) throws -> String? {
    PublicNames.label(of: try ServiceName(service), in: try DeploymentName(deployment))
  }

  @Test func `a label is service and deployment, encoded as one`() throws {
    #expect(try label("app", "shop") == "app-shop")
    #expect(try label("My_App", "Shop.v2") == "my-app-shop-v2")
    #expect(try label("café", "shop") == "xn--caf-shop-d1a")
    let long = String(repeating: "a", count: 58)
    #expect(try label(long, "shop") == "\(long)-shop")
    #expect(try label(long + "a", "shop") == nil)
  }

  @Test func `a private service has no name, and one that is too long is told why`() throws {
    let hidden = try service("shop", "db", isPrivate: true)
    let long = try service("shop", String(repeating: "a", count: 60))
    let names = PublicNames(among: [hidden, long])
    #expect(names.all.isEmpty)
    #expect(names.absence(of: hidden) == nil)
    #expect(names.absence(of: long)?.hasSuffix("-shop is too long for a host name") == true)
  }

  @Test(arguments: [("c", "a-b", "b-c", "a"), ("Shop", "app", "shop", "app")])
  func `of two services that come to one label neither is served`(
    deployment: String, name: String, otherDeployment: String, other: String
  ) throws {
    let (one, two) = (try service(deployment, name), try service(otherDeployment, other))
    let third = try service("shop", "web")
    let names = PublicNames(among: [one, two, third])
    #expect(names.all.map(\.service) == [third])
    #expect(names.label(of: one) == nil)
    #expect(names.absence(of: one)?.hasPrefix("\(two.id) would have ") == true)
    // A private one takes no name.
    let hidden = try service(otherDeployment, other, isPrivate: true)
    #expect(PublicNames(among: [one, hidden]).label(of: one) != nil)
    #expect(PublicNames(among: [one, hidden]).label(of: hidden) == nil)
  }

  @Test(arguments: ["example.org", "a", "1-2.example"])
  func `a domain is lower-case labels`(text: String) { #expect(DomainName(text) != nil) }

  @Test(arguments: ["", ".", "Example.org", "example.org.", "-a.b", "a_b.c", "a b", "é.fr"])
  func `what is no domain is refused`(text: String) { #expect(DomainName(text) == nil) }
}
