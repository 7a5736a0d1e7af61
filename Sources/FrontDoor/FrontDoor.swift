import Foundation
import Glibc
import LinuxSystem
import Logging
import Model
import Synchronization

/// Keeps HAProxy running with a configuration that is as the services are.
///
/// A service that comes or goes, or a new certificate, is a new configuration: written whole, checked
/// by HAProxy itself, and taken over without a connection lost. Which instances a service has is the
/// daemon's business. What fails is tried again, and meanwhile what runs goes on.
public actor FrontDoor {
  private let executor = KernelExecutor()
  /// A Dispatch queue of its own: see `KernelExecutor`.
  public nonisolated var unownedExecutor: UnownedSerialExecutor {
    executor.asUnownedSerialExecutor()
  }

  private let settings: FrontDoorSettings
  private let paths: FrontDoorPaths
  private let logger: Logger

  private var services: [PublicService] = []
  /// What HAProxy has in effect.
  private var shown: (configuration: ProxyConfiguration, certificates: CertificateFiles)?
  private var process: ProxyProcess?
  private var lastGeneration: UInt64 = 0
  private var failures = 0
  private var retryTime = ContinuousClock.now

  private nonisolated let reported = Mutex(FrontDoorReport())
  /// How the front door is now.
  public nonisolated var report: FrontDoorReport { reported.withLock { $0 } }

  /// A front door of `installation`; nothing happens before `show`.
  public init(_ settings: FrontDoorSettings, installation: Installation, logger: Logger) {
    (self.settings, paths, self.logger) = (settings, FrontDoorPaths(installation), logger)
  }

  /// Ends the HAProxy of an installation; whether there was one.
  @discardableResult
  public static func end(of installation: Installation) -> Bool {
    guard let process = ProxyProcess.running(FrontDoorPaths(installation)) else { return false }
    process.end()
    return true
  }

  /// The services that there are from now on.
  public func show(_ services: [PublicService]) {
    self.services = services
    bringUpToDate()
  }

  /// Starts HAProxy again where it has ended, takes over new certificates, and tries again what
  /// failed: to be called every second or so.
  public func tend() {
    if let process, process.hasEnded {
      logger.error("haproxy (pid \(process.processID)) has ended: starting it again")
      (self.process, shown) = (nil, nil)
    }
    if ContinuousClock.now >= retryTime { bringUpToDate() }
  }

  private func bringUpToDate() {
    do {
      let certificates = try CertificateFiles(directory: settings.certificates)
      let wanted = ProxyConfiguration(settings, services, descriptors: Self.descriptorLimit())
      if shown?.configuration != wanted || shown?.certificates != certificates
        || process?.hasEnded != false
      {
        try install(wanted, certificates)
        shown = (wanted, certificates)
      }
      (failures, retryTime) = (0, .now)
      reported.withLock { $0 = FrontDoorReport(processID: process?.processID) }
    } catch {
      failures += 1
      let delay = Duration.seconds(1 << min(failures - 1, 5))
      retryTime = .now + delay
      let isNew = reported.withLock { report in
        defer { report = FrontDoorReport(processID: process?.processID, problem: "\(error)") }
        return report.problem != "\(error)"
      }
      if isNew { logger.error("front door: \(error); trying again in \(delay)") }
    }
  }

  // MARK: A new configuration

  private func install(_ wanted: ProxyConfiguration, _ certificates: CertificateFiles) throws {
    let generation = try write(wanted, certificates)
    if let objection = try ProxyProcess.objection(
      to: generation.configuration, log: "\(generation.directory)/check.log")
    {
      // Nothing uses it, and the next configuration that is taken removes it.
      try? FileManager.default.removeItem(atPath: generation.directory)
      throw FrontDoorProblem("haproxy does not take its configuration: \(objection)")
    }
    try makeCurrent(generation)
    if process == nil { process = ProxyProcess.running(paths) }
    if process?.hasEnded == false {
      _ = try UnixSocket.ask("reload\n", at: paths.masterSocket)
    } else {
      process = try ProxyProcess.start(paths)
    }
    try awaitTakeover(of: generation)
    logger.info("front door: haproxy has \(wanted.services.count) services")
    removeGenerations(but: generation)
  }

  private func write(
    _ wanted: ProxyConfiguration, _ certificates: CertificateFiles
  ) throws -> FrontDoorPaths.Generation {
    let user: Credentials
    do {
      user = try Credentials(lookingUp: FrontDoorSettings.user)
    } catch {
      throw FrontDoorProblem("\(error): is Debian's haproxy installed?")
    }
    lastGeneration = max(lastGeneration + 1, UInt64(Date().timeIntervalSince1970 * 1000))
    let generation = paths.generation(lastGeneration)
    try makeDirectory(paths.generations, 0o750, owner: 0, group: user.gid)
    try makeDirectory(paths.run, 0o700, owner: user.uid, group: user.gid)
    try makeDirectory(generation.directory, 0o750, owner: 0, group: user.gid)
    try makeDirectory(generation.certificates, 0o750, owner: 0, group: user.gid)
    var files = certificates.files.map { ("\(generation.certificates)/\($0.key)", $0.value) }
    files.append((generation.hosts, Data(wanted.hosts.utf8)))
    files.append((generation.configuration, Data(wanted.text(generation, paths).utf8)))
    for (path, contents) in files {
      let file = try OwnedDescriptor(
        opening: path, flags: O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o640)
      guard fchown(file.rawValue, 0, user.gid) == 0, fchmod(file.rawValue, 0o640) == 0,
        contents.withUnsafeBytes({ Glibc.write(file.rawValue, $0.baseAddress, $0.count) })
          == contents.count
      else { throw SystemError(.last, "write", path) }
    }
    return generation
  }

  private func makeDirectory(_ path: String, _ mode: mode_t, owner: uid_t, group: gid_t) throws {
    guard mkdir(path, mode) == 0 || errno == EEXIST, chown(path, owner, group) == 0,
      chmod(path, mode) == 0
    else { throw SystemError(.last, "make directory", path) }
  }

  private func makeCurrent(_ generation: FrontDoorPaths.Generation) throws {
    let new = paths.current + ".new"
    unlink(new)
    guard symlink(generation.directory, new) == 0, rename(new, paths.current) == 0 else {
      throw SystemError(.last, "link", paths.current)
    }
  }

  /// Until the worker says that it has `generation`.
  private func awaitTakeover(of generation: FrontDoorPaths.Generation) throws {
    for _ in 0..<400 {
      // While HAProxy begins, its socket answers nothing: that ends with the error below.
      let answer = try? UnixSocket.ask("show info\n", at: paths.workerSocket)
      if answer?.contains("description: \(generation.description)\n") == true { return }
      if process?.hasEnded == true {
        process = nil
        throw FrontDoorProblem(
          "haproxy ended at once: is \(settings.https.host):\(settings.https.port) another's? It "
            + "says so in this log")
      }
      usleep(25_000)
    }
    throw FrontDoorProblem("haproxy did not take its new configuration over within 10 s")
  }

  /// What cannot be removed is removed with the next.
  private func removeGenerations(but generation: FrontDoorPaths.Generation) {
    let manager = FileManager.default
    for name in (try? manager.contentsOfDirectory(atPath: paths.generations)) ?? []
    where name != "\(generation.number)" {
      try? manager.removeItem(atPath: "\(paths.generations)/\(name)")
    }
  }

  /// How many descriptors a process that this one starts may have: HAProxy takes as many.
  private static func descriptorLimit() -> Int {
    var limit = rlimit()
    guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return 1024 }
    return Int(clamping: limit.rlim_max)
  }
}

/// How the front door is.
public struct FrontDoorReport: Hashable, Sendable {
  /// HAProxy's master process; nil where none runs.
  public var processID: pid_t?
  /// What is wrong; nil if nothing.
  public var problem: String?
}
