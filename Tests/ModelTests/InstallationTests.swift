import Testing

@testable import Model

struct InstallationTests {
  @Test func `a fabric's name says whose deployment's it is, for every installation`() throws {
    let (standard, development) = (Installation.standard, try Installation("istbpf-dev"))
    let shop = try DeploymentName("shop")
    #expect(standard.deployment(ofFabric: "istbpf-shop") == shop)
    #expect(standard.deployment(ofFabric: "istbpf-dev-shop")?.rawValue == "dev-shop")
    #expect(development.deployment(ofFabric: "istbpf-dev+shop") == shop)
    #expect(standard.deployment(ofFabric: "istbpf-dev+shop") == nil)
    #expect(development.deployment(ofFabric: "istbpf-dev-shop") == nil)
    #expect(standard.deployment(ofFabric: "other") == nil)
  }
}
