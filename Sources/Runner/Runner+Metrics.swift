import Dataplane
import Model
import Registry
import RelayControl

extension Runner {
  /// Everything that can be counted, as it is now.
  func metrics() async throws -> MetricsText {
    var metrics = MetricsText()
    let figures = await relay.statistics()
    metrics.add(
      .gauge, "istbpf_build_info", "1, with the version of istbpfd and the runner's name.",
      [.init(1, ["version": istbpfVersion, "runner": configuration.runnerName])])
    try await addServices(to: &metrics)
    try await addInstances(to: &metrics)
    addRelay(figures, to: &metrics)
    addTunnels(figures, to: &metrics)
    addRegistry(to: &metrics)
    return metrics
  }

  /// Services that have series of their own; those beyond share one, so that no number of them is too many for
  /// who stores it.
  static let servicesListed = 2000
  /// What the labels of the others say: no deployment and no service is called so.
  static let others = "(others)"

  /// The labels that a service has.
  private struct ServiceLabels: Hashable, Comparable {
    let deployment: String
    let service: String

    static let others = ServiceLabels(deployment: Runner.others, service: Runner.others)

    static func < (left: ServiceLabels, right: ServiceLabels) -> Bool {
      (left.deployment, left.service) < (right.deployment, right.service)
    }
  }

  private func addServices(to metrics: inout MetricsText) async throws {
    let counted = try PinnedState(directory: installation.pinDirectory).denials()
    var listed: Set<ServiceLabels> = []
    var counts: [ServiceLabels: Int] = [:]
    var denials: [ServiceLabels: [Reason: UInt64]] = [:]
    for deployment in try await registry.deployments() {
      let services = try await registry.services(of: deployment.name)
      let here = instances.filter { $0.instance.deployment == deployment.name }
      var names: [ServiceNumber: ServiceLabels] = [:]
      for service in services {
        let own = ServiceLabels(
          deployment: deployment.name.rawValue, service: service.name.rawValue)
        let labels = listed.count < Self.servicesListed ? own : .others
        if labels == own { listed.insert(own) }
        names[service.number] = labels
        counts[labels, default: 0] += here.count {
          $0.instance.serviceNumber == service.number
        }
      }
      // Those of services that were removed have no service any more.
      for denial in counted[deployment.id] ?? [] {
        let labels =
          names[denial.service]
          ?? (listed.contains { $0.deployment == deployment.name.rawValue }
            ? ServiceLabels(deployment: deployment.name.rawValue, service: "") : .others)
        denials[labels, default: [:]][denial.reason, default: 0] += denial.count
      }
    }
    func sorted<Value>(_ values: [ServiceLabels: Value]) -> [(key: ServiceLabels, value: Value)] {
      values.sorted { $0.key < $1.key }
    }
    metrics.add(
      .gauge, "istbpf_instances", "Instances that run on this runner.",
      sorted(counts).map {
        .init($0.value, ["deployment": $0.key.deployment, "service": $0.key.service])
      })
    var connects: [ServiceLabels: Int] = [:]
    for (key, count) in hostConnects.all {
      let own = ServiceLabels(deployment: key.deployment, service: key.service)
      connects[listed.contains(own) ? own : .others, default: 0] += count
    }
    metrics.add(
      .counter, "istbpf_host_connects_total", "Connections of istbpf connect.",
      sorted(connects).map {
        .init($0.value, ["deployment": $0.key.deployment, "service": $0.key.service])
      })
    metrics.add(
      .counter, "istbpf_denials_total", "What the data path refused instances of a service.",
      sorted(denials).flatMap { labels, reasons in
        reasons.sorted { $0.key.rawValue < $1.key.rawValue }.map { reason, count in
          .init(
            count,
            [
              "deployment": labels.deployment, "service": labels.service,
              "reason": reason.identifier,
            ])
        }
      })
  }

  private func addInstances(to metrics: inout MetricsText) async throws {
    let unguarded = try await status().deployments.flatMap(\.instances)
      .count { !$0.missingHooks.isEmpty || !$0.switchAttached }
    metrics.add(
      .gauge, "istbpf_unguarded_instances",
      "Instances of which the kernel does not run every program: see istbpf status.", unguarded)
    metrics.add(
      "istbpf_instance_start_duration_seconds",
      "From the allocation of an instance's number until others know of it.",
      [([:], startDurations.snapshot)])
  }

  private func addRelay(_ figures: Istbpf_Relay_V1_Statistics?, to metrics: inout MetricsText) {
    if relay.report != nil {
      metrics.add(
        .gauge, "istbpf_relay_up",
        "1 where istbpf-relay answers, which carries what leaves a fabric.",
        figures == nil ? 0 : 1)
      metrics.add(
        .counter, "istbpf_relay_starts_total", "How often this istbpfd has started istbpf-relay.",
        relay.starts)
    }
    metrics.add(
      .gauge, "istbpf_relayed_outside", "Connections to outside through the relay that live.",
      figures?.outsideLive ?? 0)
    metrics.add(
      .counter, "istbpf_relayed_outside_total", "Connections to outside through the relay.",
      figures?.outsideTotal ?? 0)
  }

  private func addTunnels(_ figures: Istbpf_Relay_V1_Statistics?, to metrics: inout MetricsText) {
    guard configuration.cluster != nil, let figures else { return }
    metrics.add(
      "istbpf_connect_duration_seconds",
      "From the SYN of a connect to another runner until its answer.",
      [
        (["outcome": "accepted"], .init(figures.accepted)),
        (["outcome": "refused"], .init(figures.refused)),
      ])
    if figures.certificateEnd > 0 {
      metrics.add(
        .gauge, "istbpf_certificate_expiry_timestamp_seconds",
        "When this runner's certificate ends, in seconds since 1970.", figures.certificateEnd)
    }
    metrics.add(
      .gauge, "istbpf_kernel_tls",
      "1 where the kernel can encrypt tunnels, 0 where istbpf-relay does.",
      figures.kernelTlsProblem.isEmpty ? 1 : 0)
    metrics.add(
      .gauge, "istbpf_tunnels", "Tunnels that live, by where this runner encrypts them.",
      [
        .init(figures.tunnelsKernel, ["mode": "kernel"]),
        .init(
          figures.tunnelsLive - min(figures.tunnelsLive, figures.tunnelsKernel),
          ["mode": "user_space"]),
      ])
    metrics.add(
      .gauge, "istbpf_streams", "Connections with other runners that live.", figures.streamsLive)
    for (name, help, value) in [
      ("streams_opened", "Connections that other runners accepted.", figures.streamsOpened),
      ("streams_accepted", "Connections accepted from other runners.", figures.streamsAccepted),
      ("streams_refused", "Connections that either side refused.", figures.streamsRefused),
      ("streams_truncated", "Connections that a tunnel's end cut.", figures.streamsTruncated),
      ("streams_moved", "Times that a connection moved to a fresh key.", figures.streamsMoved),
      ("tunnel_sent_bytes", "Bytes of programs sent into tunnels.", figures.bytesSent),
      ("tunnel_received_bytes", "Bytes of programs from tunnels.", figures.bytesReceived),
      ("handshakes", "Handshakes that ended well.", figures.handshakes),
      (
        "handshakes_resumed",
        "Handshakes that ended well without certificates, which an earlier one had.",
        figures.handshakesResumed
      ),
      ("handshakes_failed", "Handshakes that failed.", figures.handshakesFailed),
      ("handshakes_evicted", "Handshakes ended to make room.", figures.handshakesEvicted),
      ("tunnels_reused", "Connections that needed no handshake.", figures.tunnelsReused),
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
