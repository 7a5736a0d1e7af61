import ControlAPI
import Hummingbird
import LinuxSystem
import Logging
import ServiceLifecycle

/// Metrics and health over HTTP, for programs that watch this one.
///
/// - `/metrics`: `Runner.metrics`.
/// - `/readyz`: 200 where instances can be started and declared, and other runners' changes arrive; 503 and why
///   where not, as while etcd is away. What runs goes on even so.
/// - `/healthz`: 200 where every instance is guarded as it should be, 503 and what is missing where one is
///   not. A registry that is away is told there, but what runs goes on, so it is no reason for 503.
struct MetricsServer: ServiceLifecycle.Service {
  let runner: Runner
  let address: LinuxSystem.SocketAddress
  let logger: Logger

  func run() async throws {
    let router = Router()
    router.get("metrics") { _, _ in
      Response(
        status: .ok, headers: [.contentType: MetricsText.contentType],
        body: .init(byteBuffer: .init(string: try await runner.metrics().text)))
    }
    router.get("healthz") { _, _ in
      let (isWell, lines) = Self.health(try await runner.status())
      return Response(
        status: isWell ? .ok : .serviceUnavailable,
        headers: [.contentType: "text/plain; charset=utf-8"],
        body: .init(byteBuffer: .init(string: lines.map { $0 + "\n" }.joined())))
    }
    router.get("readyz") { _, _ in
      let problem = await runner.readinessProblem()
      return Response(
        status: problem == nil ? .ok : .serviceUnavailable,
        headers: [.contentType: "text/plain; charset=utf-8"],
        body: .init(byteBuffer: .init(string: (problem ?? "ok") + "\n")))
    }
    var logger = logger
    logger.logLevel = max(logger.logLevel, .warning)
    let application = Application(
      router: router,
      configuration: .init(
        address: .hostname(address.host, port: Int(address.port)), serverName: "istbpfd"),
      logger: logger)
    do {
      try await application.run()
    } catch {
      throw InvalidConfiguration(
        key: "metrics.address", problem: "\(address) cannot be used: \(error)")
    }
  }

  /// What `/healthz` says.
  static func health(
    _ status: Istbpf_Control_V1_GetStatusResponse
  ) -> (isWell: Bool, lines: [String]) {
    let unguarded = status.deployments.flatMap(\.instances)
      .filter { !$0.missingHooks.isEmpty || !$0.switchAttached }
      .map { "\($0.instance) is not guarded: see istbpf status" }
    let registry = status.hasCluster ? status.cluster.registryProblem : ""
    let notes = registry.isEmpty ? [] : ["registry: \(registry)"]
    return (unguarded.isEmpty, (unguarded.isEmpty ? ["ok"] : unguarded) + notes)
  }
}

extension Runner {
  /// Why instances can be neither declared nor started here now; nil where they can.
  func readinessProblem() async -> String? {
    if configuration.cluster != nil {
      guard let condition = view?.condition else { return "registry: nothing was received yet" }
      guard condition.isCurrent else { return "registry: changes are not received" }
    }
    do { _ = try await registry.deployments() } catch { return "registry: \(error)" }
    return nil
  }
}
