import Dataplane
import FrontDoor
import RelayControl

extension Istbpf_Relay_V1_Settings {
  /// What a relay is told once. Throws `SystemError` where nothing is pinned.
  init(_ configuration: RunnerConfiguration) throws {
    self.init()
    range = configuration.plan.description
    runner = configuration.runnerName
    pins = configuration.installation.pinDirectory
    maps = try FlowTable.identity(ofPinsIn: pins)
    outsideConnections = UInt32(clamping: configuration.egress.relayConnections)
    fabricPrefix = configuration.installation.fabricPrefix
    logLevel = configuration.logLevel.rawValue
    if configuration.frontDoor != nil {
      frontDoor = FrontDoorPaths(configuration.installation).services
    }
    if let member = configuration.cluster {
      cluster.name = member.identity.cluster
      cluster.address = "\(member.tunnelAddress)"
      cluster.usesKernelTls = member.usesKernelTLS
      cluster.files = Istbpf_Relay_V1_IdentityFiles(member.files)
    }
  }
}

extension Istbpf_Relay_V1_IdentityFiles {
  init(_ files: ClusterConfiguration.IdentityFiles) {
    self.init()
    (certificate, key) = (files.certificate, files.key)
    (authorities, denied) = (files.authorities, files.denied)
  }
}
