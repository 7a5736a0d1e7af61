import Dataplane
import Model
import Registry

extension Runner {
  /// Everything that can be counted, as it is now.
  func metrics() async throws -> MetricsText {
    var metrics = MetricsText()
    metrics.add(
      .gauge, "istbpf_build_info", "The version of istbpfd, and the runner's name.",
      [.init(1, ["version": istbpfVersion, "runner": configuration.runnerName])])
    try await addServices(to: &metrics)
    addTunnels(to: &metrics)
    addRegistry(to: &metrics)
    return metrics
  }

  private func addServices(to metrics: inout MetricsText) async throws {
    let pinned = try PinnedState(directory: installation.pinDirectory)
    var instances: [MetricsText.Sample] = []
    var denials: [MetricsText.Sample] = []
    for deployment in try await registry.deployments() {
      let services = try await registry.services(of: deployment.name)
      let here = running.values.filter { $0.instance.deployment == deployment.name }
      for service in services {
        let count = here.count { $0.instance.serviceNumber == service.number }
        instances.append(
          .init(
            count, ["deployment": deployment.name.rawValue, "service": service.name.rawValue]))
      }
      let names = Dictionary(uniqueKeysWithValues: services.map { ($0.number, $0.name.rawValue) })
      let denied = try pinned.denials(deployment: deployment.id)
        .sorted { ($0.service, $0.reason.rawValue) < ($1.service, $1.reason.rawValue) }
      for denial in denied {
        denials.append(
          .init(
            denial.count,
            [
              "deployment": deployment.name.rawValue, "service": names[denial.service] ?? "",
              "reason": denial.reason.identifier,
            ]))
      }
    }
    metrics.add(.gauge, "istbpf_instances", "Instances that run on this runner.", instances)
    metrics.add(
      .counter, "istbpf_host_connects_total", "Connections of istbpf connect.",
      hostConnects.all.map {
        .init($0.value, ["deployment": $0.key.deployment, "service": $0.key.service])
      })
    metrics.add(
      .counter, "istbpf_denials_total", "What the data path refused instances of a service.",
      denials)
  }

  private func addTunnels(to metrics: inout MetricsText) {
    guard let remote, let counters = remote.counters else { return }
    metrics.add(
      .gauge, "istbpf_kernel_tls", "1 where the kernel can encrypt tunnels, 0 where istbpfd does.",
      remote.kernelTLS == .available ? 1 : 0)
    metrics.add(
      .gauge, "istbpf_tunnels", "Tunnels that live, by where this runner encrypts them.",
      [
        .init(counters.tunnelsKernel, ["mode": "kernel"]),
        .init(counters.tunnelsLive - counters.tunnelsKernel, ["mode": "user_space"]),
      ])
    metrics.add(
      .gauge, "istbpf_streams", "Connections with other runners that live.", counters.streamsLive)
    for (name, help, value) in [
      ("streams_opened", "Connections that other runners accepted.", counters.streamsOpened),
      ("streams_accepted", "Connections accepted from other runners.", counters.streamsAccepted),
      ("streams_refused", "Connections that either side refused.", counters.streamsRefused),
      ("streams_truncated", "Connections that a tunnel's end cut.", counters.streamsTruncated),
      ("streams_moved", "Times that a connection moved to a fresh key.", counters.streamsMoved),
      ("tunnel_sent_bytes", "Bytes of programs sent into tunnels.", counters.bytesSent),
      ("tunnel_received_bytes", "Bytes of programs from tunnels.", counters.bytesReceived),
      ("handshakes", "Handshakes that ended well.", counters.handshakes),
      ("handshakes_failed", "Handshakes that failed.", counters.handshakesFailed),
      ("handshakes_evicted", "Handshakes ended to make room.", counters.handshakesEvicted),
      ("tunnels_reused", "Connections that needed no handshake.", counters.tunnelsReused),
    ] { metrics.add(.counter, "istbpf_\(name)_total", help, value) }
  }

  private func addRegistry(to metrics: inout MetricsText) {
    guard configuration.cluster != nil else { return }
    let condition = view?.condition
    metrics.add(
      .gauge, "istbpf_registry_current", "1 where changes of other runners are being received.",
      condition?.isCurrent == true ? 1 : 0)
    metrics.add(
      .gauge, "istbpf_registry_held_instances",
      "Instances that vanished all at once, and are kept until that is confirmed.",
      condition?.heldLoss?.missing ?? 0)
    metrics.add(
      .gauge, "istbpf_registry_displaced_instances",
      "Instances here whose number was given to another runner: end them.",
      condition?.displaced.count ?? 0)
    metrics.add(
      .gauge, "istbpf_cluster_runners", "Runners that are there.", view?.runners.count ?? 0)
    metrics.add(
      .gauge, "istbpf_cluster_instances", "Instances on all runners.", view?.instances.count ?? 0)
  }
}
