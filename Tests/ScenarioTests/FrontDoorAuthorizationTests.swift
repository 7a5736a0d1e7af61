import Model
import RelayControl
import Testing
import Tunnel

@testable import Relay

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
    let directory = InstanceDirectory(plan: plan, cluster: runner.cluster, own: runner.name)
    var entry = InstanceDirectory.Entry(id: 1, name: shop)
    entry.services = [(1, false), (2, true)].map { number, isPrivate in
      InstanceDirectory.Entry.Service(number: number, port: .standard, isPrivate: isPrivate)
    }
    entry.instances = [1, 2].map {
      InstanceDirectory.Entry.Instance(address: plan.instanceAddress($0, 2), runner: "r1")
    }
    directory.update(entry)
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
