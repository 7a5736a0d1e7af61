import ArgumentParser
import Commands

/// Not `Istbpf.main()`: that leaves the main thread, and `run` must be on it, since what it enters
/// (namespaces, filter, credentials) belongs to the thread that calls exec.
@MainActor
func runCommand() async {
  do {
    var command = try Istbpf.parseAsRoot()
    if var command = command as? any AsyncParsableCommand {
      try await command.run()
    } else {
      try command.run()
    }
  } catch {
    Istbpf.exit(withError: error)
  }
}

await runCommand()
