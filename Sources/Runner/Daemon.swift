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
import Relay
import ServiceLifecycle

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
    let ports = FabricPorts(dataplane: dataplane, plan: configuration.plan, logger: logger)
    let member = try configuration.cluster.map {
      try ClusterMember(
        $0, plan: configuration.plan, dataplane: dataplane, ports: ports, logger: logger)
    }
    let door = configuration.frontDoor.map {
      FrontDoor($0, installation: installation, logger: logger)
    }
    if door == nil { FrontDoor.end(of: installation) }
    let runner = try Runner(
      configuration: configuration, registry: registry, dataplane: dataplane, cgroups: cgroups,
      ports: ports, remote: member?.remote, frontDoor: door, logger: logger)
    try await runner.adopt()
    // On a runner that is alone the relay carries what goes outside, and the front door's requests.
    let ownRelay = try member == nil ? Relay.withoutTunnels() : nil
    let relay = try member?.start() ?? ownRelay
    if let relay { try ports.start(on: relay, pinnedIn: installation.pinDirectory) }
    if let remote = member?.remote, let relay {
      remote.answer(with: PeerAnswers(runner, directory: remote.directory, logger: logger))
      await runner.ask(
        with: PeerQuestions(
          relay: relay, directory: remote.directory, plan: configuration.plan))
    }
    let events = try EventReader(pinnedIn: installation.pinDirectory) { [feed = runner.feed] told in
      feed.publish(told)
    }

    var services: [any ServiceLifecycle.Service] = []
    if let member {
      services.append(ClusterMemberService(member: member))
      services.append(ClusterViewService(runner: runner, registry: registry))
    }
    if let address = configuration.metricsAddress {
      services.append(MetricsServer(runner: runner, address: address, logger: logger))
    }
    if let door, let relay {
      let paths = FrontDoorPaths(installation)
      services.append(
        FrontDoorService(
          door: door,
          services: try PublicServices(
            relay: relay, configuration: configuration, paths: paths, logger: logger),
          registry: registry, configuration: configuration, paths: paths, logger: logger))
    }
    let connects = try HostConnects(runner: runner, logger: logger)
    services += [
      InstanceWatchService(runner: runner),
      HistoryService(runner: runner, logger: logger),
      WatchdogService(manager: manager, runner: runner, logger: logger),
      ConfigurationReload(
        initial: configuration, reread: reread, runner: runner, member: member,
        threshold: threshold,
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
    ports.stopListening()
    member?.stop()
    ownRelay?.shutdown(grace: .zero)
    runner.outward.stop()
    ports.stop()
    try await close(registry)
    _ = consume lock
  }

  /// SQLite on a runner that is alone, etcd for one of many.
  private static func openRegistry(
    _ configuration: RunnerConfiguration, _ logger: Logger
  ) async throws -> any SharedRegistry {
    guard let cluster = configuration.cluster else {
      return try SQLiteRegistry(path: configuration.installation.registryPath)
    }
    return try await EtcdRegistry.open(cluster.etcd, logger: logger)
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

/// Keeps the identity of a cluster's runner as its files have it.
private struct ClusterMemberService: ServiceLifecycle.Service {
  let member: ClusterMember

  func run() async throws {
    await cancelWhenGracefulShutdown { await member.followFiles() }
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
      try? manager.tell(.stopping)
      containers.stop()
      control.stop()
    }
  }
}
