import FrontDoor
import Logging
import Model
import Registry
import ServiceLifecycle

/// Keeps the front door as the registry says.
struct FrontDoorService: ServiceLifecycle.Service {
  let door: FrontDoor
  let relay: RelayLink
  let registry: any SharedRegistry
  let configuration: RunnerConfiguration
  let paths: FrontDoorPaths
  let logger: Logger

  func run() async throws {
    await cancelWhenGracefulShutdown {
      await withTaskGroup(of: Void.self) { group in
        if configuration.cluster != nil {
          group.addTask { for await view in await registry.views() { await follow(view) } }
        }
        group.addTask {
          var problem: String?
          // Throws where the task is cancelled.
          while (try? await Task.sleep(for: Self.interval)) != nil {
            if configuration.cluster == nil {
              do {
                await follow(try await ownView())
                problem = nil
              } catch {
                if problem != "\(error)" { logger.error("the front door stays as it is: \(error)") }
                problem = "\(error)"
              }
            }
            await door.tend()
          }
        }
      }
    }
  }

  /// How often HAProxy and the certificates are looked at, and the registry of a runner that is alone.
  private static let interval = Duration.milliseconds(500)

  /// What the registry of a runner that is alone holds.
  private func ownView() async throws -> ClusterView {
    let deployments = try await registry.deployments()
    var services: [Model.Service] = []
    for deployment in deployments { services += try await registry.services(of: deployment.name) }
    return ClusterView(
      deployments: deployments, services: services, instances: try await registry.instances(),
      runners: [], condition: ClusterCondition())
  }

  /// A socket is there before HAProxy is told of it, and until it has forgotten it.
  private func follow(_ view: ClusterView) async {
    let routes = PublicRoute.all(in: view, paths: paths)
    let relayed = routes.map(\.relayed)
    do { try relay.tell(relayed, isExact: false) } catch { logger.error("\(error)") }
    await door.show(routes.map(\.publicService))
    do { try relay.tell(relayed, isExact: true) } catch { logger.error("\(error)") }
  }
}
