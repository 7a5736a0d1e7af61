import ControlAPI
import Dataplane
import Foundation
import FrontDoor
import Glibc
import LinuxSystem
import Logging
import Model
import Registry
import RegistryEtcd
import RegistrySQLite
import RelayControl
import ServiceLifecycle
import ServiceLog

/// The daemon: its parts put together, from the lock to the socket.
public enum Daemon {
  /// Runs until SIGTERM or SIGINT. What it set up goes on without it. Where systemd started it, systemd is told
  /// when it is ready, when it stops, and that it is alive. On SIGHUP the configuration is read again by `reread`,
  /// see `ConfigurationReload`.
  public static func run(
    _ configuration: RunnerConfiguration, threshold: LogThreshold, recent: RecentLog,
    logger: Logger, reread: @escaping @Sendable () async throws -> RunnerConfiguration
  ) async throws {
    // Until there is something to take over, it ends nothing.
    signal(SIGHUP, SIG_IGN)
    var logger = logger
    logger[metadataKey: LogField.runner] = "\(configuration.runnerName)"
    let manager = ServiceManager()
    let installation = configuration.installation
    try checkMachine()
    try makeDirectories(installation)
    let lock = try takeLock(installation)
    recent.keep(in: installation.logPath)
    let cgroups = try CgroupHierarchy.find()
    try BPFFileSystem.mount()
    try FileManager.default.createDirectory(
      atPath: installation.pinDirectory, withIntermediateDirectories: true)
    let registry = try await openRegistry(configuration, logger)
    let dataplane = try Dataplane(
      pinnedIn: installation.pinDirectory, plan: configuration.plan,
      mayHaveInstances: Self.isPopulated(cgroups.cgroup(installation.cgroupName))
        || ContainerRecords(directory: installation.containersDirectory).areAnyPopulated)
    let door = configuration.frontDoor.map {
      FrontDoor($0, installation: installation, logger: logger)
    }
    if door == nil { FrontDoor.end(of: installation) }
    let relay = try RelayLink(configuration, logger: logger)
    let runner = try Runner(
      configuration: configuration, registry: registry, dataplane: dataplane, cgroups: cgroups,
      relay: relay, frontDoor: door, logger: logger)
    // One that runs must not rely on what is taken away meanwhile.
    try relay.attach(callbacks(of: runner, logger))
    try await runner.adopt()
    try relay.start()
    if let directory = runner.directory {
      await runner.ask(with: PeerQuestions(relay: relay, directory: directory))
    }
    let events = try EventReader(pinnedIn: installation.pinDirectory) { [feed = runner.feed] told in
      feed.publish(told)
    }

    var services: [any ServiceLifecycle.Service] = []
    if configuration.cluster != nil {
      services.append(ClusterViewService(runner: runner, registry: registry))
      services.append(StaleRunnersService(runner: runner))
    }
    if let address = configuration.metricsAddress {
      services.append(MetricsServer(runner: runner, address: address, logger: logger))
    }
    if let door {
      services.append(
        FrontDoorService(
          door: door, relay: relay, registry: registry, configuration: configuration,
          paths: FrontDoorPaths(installation), logger: logger))
    }
    let connects = try HostConnects(runner: runner, logger: logger)
    services += [
      InstanceWatchService(runner: runner),
      HistoryService(runner: runner, logger: logger),
      WatchdogService(manager: manager, runner: runner, logger: logger),
      ConfigurationReload(
        initial: configuration, reread: reread, runner: runner, threshold: threshold,
        logger: logger),
      ControlServerService(
        containers: ControlServer(
          socketPath: installation.containersSocketPath, access: .nobody,
          service: ContainersService(runner: runner)),
        control: ControlServer(
          socketPath: installation.controlSocketPath, access: .group,
          service: ControlService(runner: runner)),
        manager: manager, logger: logger),
    ]
    let group = ServiceGroup(
      services: services, gracefulShutdownSignals: [.sigterm, .sigint], logger: logger)
    try await group.run()
    events.stop()
    runner.outside.follower.stop()
    connects.stop()
    relay.stop()
    try await close(registry)
    _ = consume lock
  }

  /// What is done with what istbpf-relay tells by itself.
  private static func callbacks(of runner: Runner, _ logger: Logger) -> RelayLink.Callbacks {
    let answers = runner.directory.map { PeerAnswers(runner, directory: $0, logger: logger) }
    return RelayLink.Callbacks(
      denied: { [feed = runner.feed] denied in
        if let event = Event(denying: Flow(denied), .egressRefused) { feed.publish(.event(event)) }
      },
      asked: { name, deployment, socket in
        answers?.answer(name, about: deployment, on: socket) ?? EACCES
      })
  }

  /// SQLite on a runner that is alone, etcd for one of many.
  private static func openRegistry(
    _ configuration: RunnerConfiguration, _ logger: Logger
  ) async throws -> any SharedRegistry {
    guard let cluster = configuration.cluster else {
      return try SQLiteRegistry(path: configuration.installation.registryPath)
    }
    var etcd = cluster.etcd
    // See StaleRunnersService.
    etcd.keepsStale = true
    return try await EtcdRegistry.open(etcd, logger: logger)
  }

  private static func close(_ registry: any Registry) async throws {
    switch registry {
    case let registry as SQLiteRegistry: try registry.close()
    case let registry as EtcdRegistry: await registry.close()
    default: break
    }
  }

  private static func takeLock(_ installation: Installation) throws -> LockFile {
    do {
      return try LockFile(path: installation.lockPath)
    } catch let held as LockFile.Held {
      throw RunnerError.alreadyRunning(lockPath: held.path, pid: held.pid)
    }
  }

  /// Whether a process runs in any instance, or that cannot be told.
  private static func isPopulated(_ instancesRoot: Cgroup) -> Bool {
    (try? instancesRoot.hasProcesses()) != false
  }

  private static func checkMachine() throws {
    guard geteuid() == 0 else {
      throw SystemError(.notPermitted, "run", "istbpfd", hint: "it must be root; use sudo")
    }
    try check(kernel: try KernelRelease.running())
  }

  /// Throws `RunnerError.kernelTooOld` for a kernel that is not known to do what is needed.
  static func check(kernel release: KernelRelease) throws {
    guard release >= .oldestSupported else { throw RunnerError.kernelTooOld(release) }
  }

  private static func makeDirectories(_ installation: Installation) throws {
    for (path, mode) in [
      (installation.stateDirectory, 0o700), (installation.runtimeDirectory, 0o755),
      (installation.hostsDirectory, 0o755), (installation.containersDirectory, 0o700),
      (installation.namesDirectory, 0o700),
    ] {
      try FileManager.default.createDirectory(
        atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: mode])
    }
  }
}

/// Takes over what changes on other runners.
private struct ClusterViewService: ServiceLifecycle.Service {
  let runner: Runner
  let registry: any SharedRegistry

  func run() async throws {
    let views = await registry.views()
    await cancelWhenGracefulShutdown { await runner.follow(views) }
  }
}

/// Ends instances whose last process ended.
private struct InstanceWatchService: ServiceLifecycle.Service {
  let runner: Runner

  func run() async throws {
    await cancelWhenGracefulShutdown { await runner.endEmptiedInstances() }
  }
}

/// Serves the control API, and says when it does.
private struct ControlServerService: ServiceLifecycle.Service {
  let containers: ControlServer
  let control: ControlServer
  let manager: ServiceManager
  let logger: Logger

  func run() async throws {
    try await withGracefulShutdownHandler {
      // The one within the other: both set the process's umask for a moment.
      try await containers.run {
        try await control.run {
          logger.info("ready")
          do { try manager.tell(.ready) } catch { logger.warning("\(error)") }
        }
      }
    } onGracefulShutdown: {
      // For people alone.
      try? manager.tell(.stopping)
      containers.stop()
      control.stop()
    }
  }
}

extension Flow {
  fileprivate init(_ denied: Istbpf_Relay_V1_Denied) {
    self.init(
      deployment: DeploymentID(truncatingIfNeeded: denied.deployment),
      source: IPv4Address(denied.source), destination: IPv4Address(denied.destination),
      sourcePort: UInt16(truncatingIfNeeded: denied.sourcePort),
      destinationPort: UInt16(truncatingIfNeeded: denied.destinationPort))
  }
}
