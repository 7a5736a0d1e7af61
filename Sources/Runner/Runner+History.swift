import ControlAPI
import Dataplane
import Fabric
import Foundation
import LinuxSystem
import Logging
import Model
import Registry
import ServiceLifecycle

/// Keeps the last hour of what instances did, whether or not somebody looks.
struct HistoryService: ServiceLifecycle.Service {
  let runner: Runner
  let logger: Logger

  func run() async throws {
    await cancelWhenGracefulShutdown {
      while (try? await Task.sleep(for: .seconds(HistoryLog.step))) != nil {
        do { try await runner.keepHistory() } catch {
          logger.warning("what happened in the last 10 s is not kept: \(error)")
        }
      }
    }
  }
}

extension Runner {
  /// The links of a deployment, by where their counters are.
  private struct Links: Sendable {
    let fabric: FabricNamespace
    var services: [Int32: (address: IPv4Address, service: ServiceNumber)] = [:]
  }

  /// Looks at the kernel's counters: one question for each deployment that runs here, and one for all denials.
  func keepHistory() async throws {
    var links: [DeploymentName: Links] = [:]
    for instance in instances {
      let name = instance.instance.deployment
      links[name, default: Links(fabric: fabric(of: name))].services[instance.link.ifindex] = (
        instance.identity.address, instance.instance.serviceNumber
      )
    }
    let denials = try PinnedState(directory: installation.pinDirectory).denials()
    var looks = await Self.looks(at: links)
    for deployment in try await registry.deployments() {
      for denial in denials[deployment.id] ?? [] {
        looks[deployment.name, default: .init()].denials[denial.service, default: 0] += denial.count
      }
    }
    history.add(looks, at: Int64(Date().timeIntervalSince1970))
  }

  @concurrent
  private static func looks(
    at links: [DeploymentName: Links]
  ) async -> [DeploymentName: HistoryLog.Look] {
    links.mapValues { links in
      // A fabric that has just gone had its last instance ended.
      guard let namespace = try? links.fabric.open(),
        let sent = try? LinkTraffic.sent(in: namespace)
      else { return .init() }
      var look = HistoryLog.Look()
      for (ifindex, place) in links.services {
        if let bytes = sent[ifindex] { look.sent[place.address] = (place.service, bytes) }
      }
      return look
    }
  }

  /// What a deployment's instances here did in the last hour. Throws `RegistryError` where there is no such one.
  func history(
    of name: DeploymentName
  ) async throws -> Istbpf_Control_V1_GetHistoryResponse {
    _ = try await registry.deployment(named: name)
    let names = Dictionary(
      try await registry.services(of: name).map { ($0.number, $0.name.rawValue) },
      uniquingKeysWith: { first, _ in first })
    return .with { response in
      response.steps = history.steps(of: name).map { step in
        .with {
          $0.time = step.time
          $0.services = step.services.sorted { $0.key < $1.key }.map { number, activity in
            .with {
              $0.service = names[number] ?? ""
              $0.sent = activity.sent
              $0.denials = activity.denials
            }
          }
        }
      }
    }
  }
}
