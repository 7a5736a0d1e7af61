import Model

/// Where the front door has its files.
///
/// HAProxy's user may write to one directory, where its sockets are, and only read what else is its
/// business: a proxy that was broken into must not have the daemon, which is root, write for it.
public struct FrontDoorPaths: Hashable, Sendable {
  /// The directory of all of it.
  public let directory: String

  /// Those of an installation.
  public init(_ installation: Installation) {
    directory = "\(installation.runtimeDirectory)/front-door"
  }

  /// The services' Unix sockets, on which the daemon takes requests.
  public var services: String { "\(directory)/services" }
  /// What HAProxy's user owns.
  var run: String { "\(directory)/run" }
  /// Where the master process takes commands.
  var masterSocket: String { "\(run)/master.sock" }
  /// Where the worker process takes commands.
  var workerSocket: String { "\(run)/worker.sock" }
  /// Where HAProxy's second frontend takes requests of its first: in a directory that nobody else may
  /// enter, since it believes what they say.
  var servicesSocket: String { "\(run)/services.sock" }
  /// A directory for each configuration that was made.
  var generations: String { "\(directory)/generations" }
  /// A link to the one in effect, so that a configuration is replaced whole or not at all.
  var current: String { "\(directory)/current" }

  /// A configuration and its certificates.
  struct Generation: Hashable, Sendable {
    let number: UInt64
    let directory: String
    var configuration: String { "\(directory)/haproxy.cfg" }
    var hosts: String { "\(directory)/hosts.map" }
    var certificates: String { "\(directory)/certificates" }
    /// What HAProxy says of itself while it has this configuration.
    var description: String { "generation-\(number)" }
  }

  func generation(_ number: UInt64) -> Generation {
    Generation(number: number, directory: "\(generations)/\(number)")
  }
}
