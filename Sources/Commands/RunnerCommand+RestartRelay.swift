import ArgumentParser
import ControlAPI
import Model

extension RunnerCommand {
  struct RestartRelay: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "restart-relay",
      abstract: "Have another istbpf-relay take over this runner's connections.",
      discussion: """
        A new istbpf-relay takes everything that comes from now on, and the one that runs passes on to it what it \
        carries: a connection stands still for some milliseconds, and loses nothing. istbpfd does the same by itself \
        after an upgrade. What cannot be passed on goes on in the old process until it ends (relay.drainSeconds).
        """)

    @OptionGroup var options: InstallationOptions

    func run() async throws {
      try await failing {
        let response = try await ControlClient.connect(
          to: options.chosen().controlSocketPath
        ) { try await $0.restartRelay(.init()) }
        print("istbpf-relay (pid \(response.now)) has taken over from pid \(response.before)")
      }
    }
  }
}
