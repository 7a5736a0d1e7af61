import Dataplane
import Foundation
import Glibc
import LinuxSystem
import Logging
import Model
import RegistryEtcd
import Relay
import Synchronization
import Tunnel

/// What a runner has beyond one that is alone: an identity, and a relay with its tunnels.
final class ClusterMember: Sendable {
  let remote: RemoteConnects
  private let configuration: ClusterConfiguration
  private let files: Mutex<ClusterConfiguration.IdentityFiles>
  private let identities: TunnelIdentities
  private let logger: Logger
  private let running = Mutex<Relay?>(nil)

  /// How often the identity's files are looked at.
  private static let refresh = Duration.seconds(2)
  /// How long streams may go on after the daemon was told to stop.
  private static let grace = Duration.seconds(1)

  /// Reads the identity. Throws `TunnelError` or `SystemError`.
  init(
    _ configuration: ClusterConfiguration, plan: AddressPlan, dataplane: Dataplane,
    ports: FabricPorts, logger: Logger
  ) throws {
    self.configuration = configuration
    self.logger = logger
    files = Mutex(configuration.files)
    identities = TunnelIdentities(
      try Self.identity(configuration.files, configuration.identity),
      denied: try Self.denied(configuration.files))
    let denied = configuration.files.denied
    if denied != ClusterConfiguration.IdentityFiles.standardDenied, !SmallFile.exists(denied) {
      logger.warning("tunnel.denied: there is no \(denied), so no certificate is denied")
    }
    let directory = InstanceDirectory(plan: plan, identity: configuration.identity)
    // Loads the kernel's modules, too.
    let kernelTLS =
      configuration.usesKernelTLS
      ? KernelTLS.probe() : .unavailable("the configuration says so (tunnel.kernelTLS)")
    remote = RemoteConnects(
      dataplane: dataplane, plan: plan, ports: ports, directory: directory, kernelTLS: kernelTLS,
      identities: identities, logger: logger)
    switch kernelTLS {
    case .available: logger.info("the kernel encrypts tunnels")
    case .unavailable(let reason):
      logger.notice("istbpfd encrypts tunnels, in user space, since the kernel does not: \(reason)")
    }
  }

  /// The relay, from `start` to `stop`.
  var relay: Relay? { running.withLock { $0 } }

  /// Takes tunnels from now on, by a relay that it returns. Throws `SystemError`, EADDRINUSE where the address is
  /// taken.
  func start() throws -> Relay {
    let relay = try Relay(
      configuration: relayConfiguration(), identities: identities,
      authorize: { [remote] stream, reply in remote.authorize(stream, reply) },
      observe: { [logger] event in Self.log(event, logger) })
    relay.listen(on: try TunnelListener.make(at: configuration.tunnelAddress))
    running.withLock { $0 = relay }
    return relay
  }

  /// As much as this process may have descriptors for.
  private func relayConfiguration() -> RelayConfiguration {
    var configuration = RelayConfiguration()
    configuration.usesKernelTLS = self.configuration.usesKernelTLS
    let (wanted, most) = (RelayConfiguration.descriptorsWanted, configuration.maximumTunnels)
    let descriptors = DescriptorLimit.raise(to: wanted + OutsideConnects.descriptorsWanted)
    configuration.fit(descriptors: descriptors - OutsideConnects.descriptors(of: descriptors))
    if configuration.maximumTunnels < most {
      logger.warning(
        """
        only \(configuration.maximumTunnels) connections with other runners at once, not \(most): \
        istbpfd may have \(descriptors) descriptors (RLIMIT_NOFILE), and needs \
        \(wanted + OutsideConnects.descriptorsWanted) for all
        """)
    }
    return configuration
  }

  /// Takes over a new certificate or deny list as the files change, until the task is cancelled. Live
  /// tunnels go on with what they have, but those of a denied certificate end.
  func followFiles() async {
    var seen = Self.state(of: files.withLock { $0 })
    while (try? await Task.sleep(for: Self.refresh)) != nil {
      let files = files.withLock { $0 }
      let now = Self.state(of: files)
      guard now != seen else { continue }
      do {
        try takeOver(files)
        seen = now
        logger.notice("took over the identity and the deny list as they are on disk now")
      } catch {
        // Half-written files: the next look finds them whole.
        logger.error("the identity's files cannot be taken over: \(error)")
      }
    }
  }

  /// Has these files say who the runner is and what is denied from now on. Throws `TunnelError`, `SystemError`
  /// or `InvalidConfiguration`, and then nothing has changed.
  func takeOver(_ new: ClusterConfiguration.IdentityFiles) throws {
    let identity = try Self.identity(new, configuration.identity)
    let denied = try Self.denied(new)
    guard !denied.isEmpty || identities.denied.isEmpty || SmallFile.exists(new.denied) else {
      throw InvalidConfiguration(
        key: "tunnel.denied",
        problem: "is gone: what it denied stays denied; an empty file denies nothing")
    }
    identities.rotate(to: identity)
    identities.deny(denied)
    files.withLock { $0 = new }
    running.withLock { $0?.enforceDenyList() }
  }

  /// Ends the tunnels; the kernel goes on with what is on this runner.
  func stop() {
    let stopped = running.withLock { running in
      defer { running = nil }
      return running
    }
    stopped?.shutdown(grace: Self.grace)
    remote.stop()
  }

  /// The identity that the files have, which must be `name`'s. Throws `TunnelError` or `InvalidConfiguration`.
  static func identity(
    _ files: ClusterConfiguration.IdentityFiles, _ name: RunnerIdentifier
  ) throws -> TunnelIdentity {
    let identity = try TunnelIdentity(
      cluster: name.cluster,
      credentials: TunnelCredentials(
        authoritiesAt: files.authorities, certificateAt: files.certificate, keyAt: files.key))
    guard identity.certificate.runner == name else {
      throw InvalidConfiguration(
        key: "tunnel.certificate",
        problem: "is \(identity.certificate.runner.uri)'s, not \(name.uri)'s")
    }
    return identity
  }

  /// The serial numbers on the deny list. Throws `SystemError` or `InvalidConfiguration`.
  static func denied(
    _ files: ClusterConfiguration.IdentityFiles
  ) throws -> Set<CertificateSerial> {
    guard SmallFile.exists(files.denied) else { return [] }
    return Set(
      try SmallFile.read(files.denied).split(whereSeparator: \.isNewline).map { line in
        guard let serial = CertificateSerial(String(line)) else {
          throw InvalidConfiguration(
            key: "tunnel.denied", problem: "has a line that is no serial number: \(line.prefix(48))"
          )
        }
        return serial
      })
  }

  /// What changes when a file does: inode, size and time.
  private static func state(of files: ClusterConfiguration.IdentityFiles) -> [String] {
    [files.certificate, files.key, files.authorities, files.denied].map { file in
      var status = stat()
      guard stat(file, &status) == 0 else { return "" }
      return "\(status.st_ino) \(status.st_size) \(status.st_mtim.tv_sec).\(status.st_mtim.tv_nsec)"
    }
  }

  private static func log(_ event: RelayEvent, _ logger: Logger) {
    switch event {
    case .tunnelReady(let peer, let incoming, let send, let receive):
      logger.debug(
        "tunnel \(incoming ? "from" : "to") \(peer.runner.name) ready: send \(send), receive \(receive)"
      )
    case .handshakeFailed(let error, let incoming):
      logger.warning("\(incoming ? "incoming" : "outgoing") tunnel failed: \(error)")
    case .streamTruncated(let peer, let error):
      logger.warning("a connection with \(peer.runner.name) was cut: \(error)")
    case .protocolViolation(let peer, let problem):
      logger.error("\(peer.runner.name) broke the protocol: \(problem)")
    case .peerReachable(let runner, false):
      logger.warning("\(runner.name) does not answer: connections with it stand still")
    case .peerReachable(let runner, true):
      logger.notice("\(runner.name) answers again")
    case .tunnelsKilled(let count):
      logger.notice("ended \(count) tunnels")
    case .acceptFailed(let errno):
      logger.error("cannot accept tunnels: \(String(cString: strerror(errno)))")
    }
  }
}
