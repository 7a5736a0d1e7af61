import Model

/// What one daemon is told at its start.
public struct RunnerConfiguration: Sendable {
  /// Where it keeps things.
  public var installation: Installation
  /// The range that every deployment has.
  public var plan: AddressPlan
  /// The runner's name, `WARP_RUNNER`.
  public var runnerName: String

  /// The other runners; nil where this one is alone.
  public var cluster: ClusterConfiguration?

  /// A configuration from its parts.
  public init(
    installation: Installation, plan: AddressPlan, runnerName: String,
    cluster: ClusterConfiguration? = nil
  ) {
    self.cluster = cluster
    self.installation = installation
    self.plan = plan
    self.runnerName = runnerName
  }
}
