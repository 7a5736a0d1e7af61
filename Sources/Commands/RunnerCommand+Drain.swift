import ArgumentParser
import ControlAPI
import Foundation

/// Emptying a runner, and ending that.
extension RunnerCommand {
  struct Drain: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "drain",
      abstract: "Empty this runner: no new instances, and connections go to other runners'.",
      discussion: """
        New instances are refused here, and whoever connects to a service gets an instance of another runner \
        while one accepts. What is connected stays connected: the command waits for it to end, says what is \
        left, and with --timeout resets what is left then. Instances run on; stop them where you started them. \
        It lasts until istbpf runner undrain, also when istbpfd is started anew or the command is interrupted.
        """)

    @Argument(help: "The runner's name: this one's.")
    var name: String
    @Option(
      help: ArgumentHelp(
        "How long connections may take to end before they are reset; 0 resets them at once. Without, for ever.",
        valueName: "seconds"))
    var timeout: Int?
    @OptionGroup var options: InstallationOptions

    func validate() throws {
      if let timeout, timeout < 0 {
        throw ValidationError("--timeout is \(timeout), and is a number of seconds from 0")
      }
    }

    func run() async throws {
      try await failing {
        let (name, wait) = (name, DrainWait(runner: name, timeout: timeout))
        try await ControlClient.connect(to: options.chosen().controlSocketPath) { client in
          _ = try await client.setRunnerDrained(.with { ($0.name, $0.drained) = (name, true) })
          print("\(name) is drained: it takes no new instances")
          guard try await !wait.isEmptied(client) else { return print("no connection is left") }
          let reset = try await client.resetConnections(.init()).connections
          print("reset \(reset) connections")
        }
      }
    }
  }

  struct Undrain: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "undrain", abstract: "Have this runner take instances and connections again.")

    @Argument(help: "The runner's name: this one's.")
    var name: String
    @OptionGroup var options: InstallationOptions

    func run() async throws {
      try await failing {
        let request = Istbpf_Control_V1_SetRunnerDrainedRequest.with { $0.name = name }
        _ = try await ControlClient.connect(
          to: options.chosen().controlSocketPath
        ) { try await $0.setRunnerDrained(request) }
        print("\(name) takes instances again")
      }
    }
  }
}

/// Waiting for the connections of a runner's instances to end.
private struct DrainWait {
  let runner: String
  /// In seconds; nil for ever.
  let timeout: Int?

  private static let interval = Duration.seconds(1)

  /// Returns whether none is left, once that is so or the time is over. Says what is left as it changes.
  func isEmptied(_ client: ControlClient.Client) async throws -> Bool {
    let deadline = timeout.map { ContinuousClock.now + .seconds($0) }
    var said: [String] = []
    while true {
      let left = try await connections(client)
      if left.isEmpty { return true }
      if left != said {
        for line in left { print("left: \(line)") }
        said = left
      }
      let now = ContinuousClock.now
      if let deadline, now >= deadline { return false }
      try await Task.sleep(for: min(deadline.map { $0 - now } ?? Self.interval, Self.interval))
    }
  }

  /// A line for each two ends between which there are connections.
  private func connections(_ client: ControlClient.Client) async throws -> [String] {
    var counts: [String: Int] = [:]
    for deployment in try await client.getStatus(.init()).deployments
    where deployment.instances.contains(where: { $0.runner == runner }) {
      let traffic = try await client.getTraffic(.with { $0.deployment = deployment.name })
      for connection in traffic.connections {
        let peer = connection.peer.name.isEmpty ? connection.peer.address : connection.peer.name
        let (caller, server) =
          connection.incoming ? (peer, connection.local.name) : (connection.local.name, peer)
        counts["\(caller) to \(server)", default: 0] += 1
      }
      if traffic.omitted > 0 { counts["others of \(deployment.name)"] = Int(traffic.omitted) }
    }
    return counts.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value)" }
  }
}
