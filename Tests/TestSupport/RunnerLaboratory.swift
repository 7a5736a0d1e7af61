import Foundation
import LinuxSystem
import Model
import Testing

/// A runner for one test: a real `istbpfd` with an installation of its own, of which nothing is left
/// when the test ends, whether it passes or throws.
public final class RunnerLaboratory: @unchecked Sendable {
  // Safe because each is used by the one test that it is made for.
  /// Namespaces and commands that go with the test.
  public let laboratory: NamespaceLaboratory
  /// What directories, cgroup, pins and namespaces of this runner are named after.
  public let installation: Installation
  /// The running daemon, or the last one.
  public private(set) var daemon: RunnerDaemon?
  /// What stands before the command of every daemon of it, and after.
  private let wrapper: [String]
  private let options: [String]

  init(
    _ laboratory: NamespaceLaboratory, _ name: String, wrapper: [String] = [],
    options: [String] = []
  ) throws {
    self.laboratory = laboratory
    (self.wrapper, self.options) = (wrapper, options)
    installation = try Installation(name)
  }

  /// Runs `body` with a runner of its own, whose daemon runs; requires root.
  public static func with(_ body: (RunnerLaboratory) throws -> Void) async throws {
    try await withoutDaemon { runner in
      try runner.startDaemon()
      try body(runner)
    }
  }

  /// Runs `body` with a runner of its own, whose daemon has not been started; requires root.
  public static func withoutDaemon(_ body: (RunnerLaboratory) throws -> Void) async throws {
    try await withTaskExecutorPreference(BlockingExecutor.shared) {
      try NamespaceLaboratory.with { laboratory in
        let runner = try RunnerLaboratory(laboratory, "ist" + laboratory.uniqueName("r"))
        defer { runner.remove() }
        try body(runner)
      }
    }
  }

  /// Runs `body` with another runner on the same machine, whose installation's name begins as this
  /// one's does, and whose daemon runs unless `daemon` is false.
  public func withNeighbour(
    daemon: Bool = true, _ body: (RunnerLaboratory) throws -> Void
  ) throws {
    let neighbour = try RunnerLaboratory(laboratory, installation.name + "-x")
    defer { neighbour.remove() }
    if daemon { try neighbour.startDaemon() }
    try body(neighbour)
  }

  // MARK: The daemon

  /// Starts the daemon and waits until it is ready. `wrapper` stands before its command.
  public func startDaemon(wrapper: [String] = [], options: [String] = []) throws {
    let daemon = try RunnerDaemon(
      self, wrapper: self.wrapper + wrapper, options: self.options + options)
    self.daemon = daemon
    try daemon.awaitReady()
  }

  /// Kills the daemon with SIGKILL and waits for its end.
  public func killDaemon() { daemon?.stop() }

  /// Kills istbpf-relay by a signal, if there is one, and waits for its end.
  public func killRelay(by signal: Int32 = SIGKILL) {
    guard let process = UnixSocket.listener(at: installation.relaySocketPath),
      let handle = try? ProcessHandle(process)
    else { return }
    handle.signal(signal)
    _ = handle.awaitEnd(within: 5000)
  }

  /// Kills the daemon and istbpf-relay: nothing of this runner answers any more.
  public func killAll() {
    killDaemon()
    killRelay()
  }

  /// The process id of istbpf-relay; throws where there is none.
  public func relay() throws -> Int32 {
    guard let process = UnixSocket.listener(at: installation.relaySocketPath) else {
      throw Conversation.Silence(description: "there is no istbpf-relay")
    }
    return process
  }

  /// Starts istbpf-relay as a service manager does, from another file than the tests' if one is given, and waits until it
  /// listens.
  public func startRelay(_ program: String? = nil) throws -> Conversation {
    let relay = try Conversation(
      wrapper + [
        "bash", "-c", "exec -a istbpf-relay \"$0\" \"$@\"", try program ?? Product.istbpfd(),
        "--installation", installation.name,
      ])
    laboratory.atEnd { relay.stop() }
    guard eventually({ UnixSocket.listener(at: installation.relaySocketPath) != nil }) else {
      throw Conversation.Silence(description: "istbpf-relay does not listen: \(relay.errorText)")
    }
    return relay
  }

  /// Runs the daemon to its end, which should come soon: for what it refuses.
  public func refusedDaemon(wrapper: [String] = [], options: [String] = []) throws -> CommandResult
  {
    try run(
      ["timeout", "30"] + self.wrapper + wrapper
        + [try Product.istbpfd(), "--installation", installation.name] + self.options + options)
  }

  // MARK: Commands

  /// Runs a command of `istbpf` to its end.
  @discardableResult
  public func istbpf(_ arguments: String...) throws -> CommandResult { try istbpf(arguments) }

  /// Runs a command of `istbpf` to its end.
  @discardableResult
  public func istbpf(_ arguments: [String], wrapper: [String] = []) throws -> CommandResult {
    try run(commandLine(arguments, wrapper: wrapper))
  }

  /// The command line of a command of `istbpf` for this installation.
  public func commandLine(_ arguments: [String], wrapper: [String] = []) throws -> [String] {
    ["\(Installation.variable)=\(installation.name)"] + wrapper + [try Product.istbpf()] + arguments
  }

  /// Declares services, and expects that it works.
  public func deploy(_ deployment: String, _ services: String...) throws {
    let result = try istbpf(
      ["deploy", "--deployment", deployment] + services.flatMap { ["--service", $0] })
    #expect(result.status == 0, "\(result.errors)")
  }

  /// Starts `command` with `istbpf run` as an instance of `service`: `shop/app`.
  public func start(
    _ service: String, options: [String] = [], _ command: String...
  ) throws -> Conversation {
    let conversation = try Conversation(
      commandLine(runArguments(service, options) + command))
    laboratory.atEnd { conversation.stop() }
    return conversation
  }

  /// Runs `command` with `istbpf run` as an instance of `service`, to its end.
  @discardableResult
  public func runInstance(
    _ service: String, options: [String] = [], _ command: String...
  ) throws -> CommandResult {
    try istbpf(runArguments(service, options) + command)
  }

  /// Starts an instance of `service`, `shop/app`, that does what it is told.
  public func instance(of service: String, options: [String] = []) throws -> TestInstance {
    let conversation = try Conversation(
      commandLine(runArguments(service, options) + TestInstance.command))
    laboratory.atEnd { conversation.stop() }
    return try TestInstance(conversation)
  }

  private func runArguments(_ service: String, _ options: [String]) -> [String] {
    let parts = service.split(separator: "/").map(String.init)
    return ["run", "--deployment", parts[0], "--service", parts[1]] + options + ["--"]
  }

  // MARK: The end

  func remove() {
    daemon?.stop()
    let result = try? istbpf("uninstall", "--force")
    if result?.status != 0 { Issue.record("uninstall: \(result?.errors ?? "did not run")") }
    for trace in traces() { Issue.record("left behind: \(trace)") }
  }

  /// What there is of this installation on the machine.
  public func traces() -> [String] {
    let cgroup = try? CgroupHierarchy.find().cgroup(installation.cgroupName).path
    let paths = [
      installation.stateDirectory, installation.runtimeDirectory, installation.pinDirectory,
      cgroup ?? "",
    ].filter { FileManager.default.fileExists(atPath: $0) }
    let fabrics = (try? NetworkNamespace.names(prefix: installation.fabricPrefix)) ?? []
    return paths + fabrics
  }
}
