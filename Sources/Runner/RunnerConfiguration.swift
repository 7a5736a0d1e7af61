import FrontDoor
import LinuxSystem
import Logging
import Model

/// What one daemon is told at its start.
public struct RunnerConfiguration: Sendable {
  /// Where it keeps things.
  public var installation: Installation
  /// The range that every deployment has.
  public var plan: AddressPlan
  /// The runner's name, `WARP_RUNNER`.
  public var runnerName: String
  /// Where metrics and health are served over HTTP; nil for nowhere.
  public var metricsAddress: SocketAddress?
  /// The other runners; nil where this one is alone.
  public var cluster: ClusterConfiguration?

  /// How names outside are looked up.
  public var egress: EgressConfiguration

  /// The front door; nil where this runner has none.
  public var frontDoor: FrontDoorSettings?

  /// How much is logged.
  public var logLevel: Logger.Level

  /// The value of each key, for who asks which ones changed: the standard one where nothing is said.
  var values: [String: String] = [:]

  /// How long a relay may go on with what the next one cannot take over, in seconds; 0 for as long as that lasts.
  public var relayDrainSeconds: UInt32 = 0

  /// A configuration from its parts.
  public init(
    installation: Installation, plan: AddressPlan, runnerName: String,
    metricsAddress: SocketAddress? = nil, cluster: ClusterConfiguration? = nil,
    egress: EgressConfiguration = EgressConfiguration(), frontDoor: FrontDoorSettings? = nil,
    logLevel: Logger.Level = .info
  ) {
    self.cluster = cluster
    self.egress = egress
    self.frontDoor = frontDoor
    self.installation = installation
    self.logLevel = logLevel
    self.metricsAddress = metricsAddress
    self.plan = plan
    self.runnerName = runnerName
  }
}
