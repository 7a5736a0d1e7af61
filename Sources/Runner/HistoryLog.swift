import Model

/// What instances did in the last hour, in steps of 10 s: counters as they were at each look, and their differences.
struct HistoryLog {
  /// How long a step is, in seconds, and how many a deployment has.
  static let (step, capacity): (Int64, Int) = (10, 360)

  /// What a service did in a step.
  struct Activity: Equatable {
    /// Bytes that its instances sent.
    var sent: UInt64 = 0
    /// What they were denied.
    var denials: UInt64 = 0
  }

  /// One step of a deployment. Services that did nothing are left out, and so are steps in which none did anything.
  struct Step: Equatable {
    /// When it began: seconds since 1970.
    let time: Int64
    var services: [ServiceNumber: Activity]
  }

  /// Counters of a deployment at one look.
  struct Look {
    /// The bytes that each instance that runs has sent since its link was made, by its address.
    var sent: [IPv4Address: (service: ServiceNumber, bytes: UInt64)] = [:]
    /// Of each service, since the deployment was declared.
    var denials: [ServiceNumber: UInt64] = [:]
  }

  private var last: [DeploymentName: Look] = [:]
  private var steps: [DeploymentName: [Step]] = [:]

  /// The steps of a deployment, the oldest first.
  func steps(of deployment: DeploymentName) -> [Step] { steps[deployment] ?? [] }

  /// Takes what was seen of all deployments at `time`, seconds since 1970. What an instance did before it was first
  /// seen counts for the step in which it was, unless this is the first look at its deployment.
  mutating func add(_ looks: [DeploymentName: Look], at time: Int64) {
    for (deployment, look) in looks {
      guard let before = last[deployment] else { continue }
      var services: [ServiceNumber: Activity] = [:]
      for (address, now) in look.sent {
        // Less than before: it is another instance's number meanwhile.
        let old = before.sent[address]?.bytes ?? 0
        services[now.service, default: Activity()].sent += now.bytes - (now.bytes < old ? 0 : old)
      }
      for (service, count) in look.denials {
        let old = before.denials[service] ?? 0
        services[service, default: Activity()].denials += count >= old ? count - old : count
      }
      services = services.filter { $0.value != Activity() }
      if !services.isEmpty {
        steps[deployment, default: []].append(
          Step(time: (time - Self.step) / Self.step * Self.step, services: services))
      }
    }
    last = looks
    let oldest = time - Self.step * Int64(Self.capacity + 1)
    steps = steps.compactMapValues { steps in
      let kept = steps.drop { $0.time <= oldest }
      return kept.isEmpty ? nil : Array(kept.suffix(Self.capacity))
    }
  }
}
