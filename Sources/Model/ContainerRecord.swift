/// What the daemon keeps of a container that is an instance, beside the registry's record: where its
/// cgroup is, which an engine chose. In a file of `Installation.containersDirectory` for each, JSON.
public struct ContainerRecord: Hashable, Sendable, Codable {
  /// The instance: `shop/app.2`.
  public let instance: String

  /// The container's id, as its engine names it.
  public let container: String

  /// Whose it is: the `rawValue` of a `ContainerEngine`, which another version may not know. Nil in a record of
  /// a daemon that did not ask.
  public let engine: String?

  /// The directory of its cgroup, which is the runtime's to remove.
  public let cgroupPath: String

  /// The hosts file that is mounted into it.
  public let hostsPath: String

  /// Whether everything is in place. A container whose record does not say so never ran: its hook has
  /// failed with the daemon.
  public var isAttached: Bool

  /// A record from its parts.
  public init(
    instance: String, container: String, engine: String?, cgroupPath: String, hostsPath: String,
    isAttached: Bool = false
  ) {
    self.instance = instance
    self.container = container
    self.engine = engine
    self.cgroupPath = cgroupPath
    self.hostsPath = hostsPath
    self.isAttached = isAttached
  }
}
