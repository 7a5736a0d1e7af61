import Model
import Registry
import Testing
import Tunnel

@testable import Relay
@testable import Runner

@Suite("What another runner's front door may reach")
struct FrontDoorAuthorizationTests {
  private let plan = AddressPlan.standard

  /// What is wrong with a connection of `source` to an instance of service `number`, which is here;
  /// nil where nothing is. Service 1 is public on port 8080, service 2 private.
  private func objection(from source: IPv4Address, to number: ServiceNumber, port: Int) throws
    -> String?
  {
    let shop = try DeploymentName("shop")
    let runner = try #require(RunnerIdentifier(cluster: "prod", name: "r1"))
    let services = try [("app", false), ("db", true)].enumerated().map { index, service in
      Service(
        deployment: shop, name: try ServiceName(service.0), number: ServiceNumber(index + 1),
        isPrivate: service.1)
    }
    let directory = InstanceDirectory(plan: plan, identity: runner)
    directory.update(
      ClusterView(
        deployments: [Deployment(name: shop, id: 1)], services: services,
        instances: services.map {
          Instance(
            deployment: shop, service: $0.name, serviceNumber: $0.number, number: 2, runner: "r1")
        }, runners: [], condition: ClusterCondition()))
    let request = StreamRequest(
      deployment: shop, source: source, destination: plan.instanceAddress(number, 2),
      port: try PortNumber(port))
    let other = try #require(RunnerIdentifier(cluster: "prod", name: "r2"))
    return directory.objection(to: IncomingStream(runner: other, request: request))
  }

  @Test("The port of a public service, as the gateway, and nothing else")
  func gateway() throws {
    #expect(try objection(from: plan.gateway, to: 1, port: 8080) == nil)
    #expect(
      try objection(from: plan.gateway, to: 1, port: 5432)
        == "198.18.1.2:5432 of shop is not public")
    #expect(
      try objection(from: plan.gateway, to: 2, port: 8080)
        == "198.18.2.2:8080 of shop is not public")
    // Another address of the fabric's own block is nobody's.
    #expect(
      try objection(from: IPv4Address(plan.base.rawValue + 2), to: 1, port: 8080)
        == "198.18.0.2 of shop is not on r2")
  }
}
