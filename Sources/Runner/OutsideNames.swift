import Foundation
import LinuxSystem
import Logging
import Model
import NameResolution
import Synchronization

/// The names outside that services may connect to: what is known of them, and the files that tell the next
/// daemon.
final class OutsideNames: Sendable {
  /// Looks them up.
  let follower: NameFollower
  /// Says which addresses they must not have.
  let objections: AddressObjections
  /// How long what is known of them holds.
  let limits: NameLimits
  private let directory: String
  private let logger: Logger
  /// The names of addresses, by deployment's id and service's number.
  private let index = Mutex<[DeploymentID: [ServiceNumber: [IPv4Address: HostName]]]>([:])

  /// What an earlier daemon knew holds on; nothing is looked up before `follower.start`. Throws `SystemError`.
  init(_ configuration: RunnerConfiguration, logger: Logger) throws {
    let objections = AddressObjections(plan: configuration.plan)
    (self.objections, self.logger) = (objections, logger)
    directory = configuration.installation.namesDirectory
    limits = configuration.egress.limits
    follower = try NameFollower(
      resolvConf: configuration.egress.resolvConf, limits: limits,
      known: try Self.known(in: directory, logger)
    ) { objections.objection(to: $0) }
  }

  /// The addresses of a name that may be connected to now.
  func open(_ name: HostName) -> [IPv4Address] {
    follower.record(of: name)?.open(at: bootTimeNow(), limits)
      .filter { objections.objection(to: $0) == nil } ?? []
  }

  /// Those of them to tell programs.
  func listed(_ name: HostName) -> [IPv4Address] {
    follower.record(of: name)?.listed(at: bootTimeNow(), limits)
      .filter { objections.objection(to: $0) == nil } ?? []
  }

  // MARK: Files

  private static func known(
    in directory: String, _ logger: Logger
  ) throws -> [HostName: NameRecord] {
    guard SmallFile.exists(directory) else { return [:] }
    var known: [HostName: NameRecord] = [:]
    for file in try DirectoryListing.names(in: directory) {
      do {
        let saved = try JSONDecoder().decode(
          SavedName.self, from: Data(try SmallFile.bytes(of: "\(directory)/\(file)")))
        guard let record = NameRecord(saved) else { continue }
        known[try HostName(saved.name)] = record
      } catch {
        // Its addresses are closed until it has been looked up.
        logger.error("what was known of the name \(file) is lost: \(error)")
      }
    }
    return known
  }

  /// Remembers what is known of a name for the next daemon; `services` have rules with it.
  func save(_ name: HostName, _ services: [String]) {
    guard let record = follower.record(of: name) else { return }
    do {
      let data = try JSONEncoder().encode(record.saved(name, of: services))
      try data.write(to: URL(fileURLWithPath: path(of: name)), options: .atomic)
    } catch {
      logger.error("what is known of \(name) cannot be kept for the next daemon: \(error)")
    }
  }

  /// Removes what is remembered of other names than these.
  func forget(except names: Set<HostName>) {
    do {
      for file in try DirectoryListing.names(in: directory) {
        if let name = try? HostName(file), names.contains(name) { continue }
        guard unlink("\(directory)/\(file)") == 0 || errno == ENOENT else {
          throw SystemError(.last, "remove", "\(directory)/\(file)")
        }
      }
    } catch {
      logger.error("what is known of names that nobody has cannot be removed: \(error)")
    }
  }

  private func path(of name: HostName) -> String { "\(directory)/\(name)" }

  // MARK: Names of addresses

  /// Notes which names a service's addresses have; nil where it has none.
  func note(
    _ names: [IPv4Address: HostName]?, of service: ServiceNumber, in deployment: DeploymentID
  ) {
    index.withLock { $0[deployment, default: [:]][service] = names }
  }

  /// The name of an address that a service reaches by a rule, or may not reach although another of its
  /// deployment does; nil where it has none.
  func name(
    of address: IPv4Address, for service: ServiceNumber, in deployment: DeploymentID
  ) -> HostName? {
    index.withLock { index in
      guard let services = index[deployment] else { return nil }
      return services[service]?[address] ?? services.values.lazy.compactMap { $0[address] }.min()
    }
  }
}
