import Glibc
import LinuxSystem
import Logging
import Model
import Relay
import RelayControl
import Synchronization
import Tunnel

/// Who this runner is to the others of its cluster, and whose certificates are denied: as files say.
final class RunnerIdentity: Sendable {
  /// What tunnels use.
  let identities: TunnelIdentities
  private let name: RunnerIdentifier
  private let files: Mutex<Istbpf_Relay_V1_IdentityFiles>
  private let logger: Logger

  /// How often the files are looked at.
  private static let refresh = Duration.seconds(2)
  /// The deny list where the configuration names none; it may be missing.
  private static let standardDenied = "/etc/istbpf/denied"

  /// Reads the files, which must be of `name`. Throws `TunnelError`, `SystemError` or `ConfigurationProblem`.
  init(
    _ files: Istbpf_Relay_V1_IdentityFiles, of name: RunnerIdentifier, logger: Logger
  ) throws {
    (self.name, self.logger) = (name, logger)
    self.files = Mutex(files)
    identities = TunnelIdentities(
      try files.identity(of: name), denied: try files.deniedSerials())
    if files.denied != Self.standardDenied, !SmallFile.exists(files.denied) {
      logger.warning("tunnel.denied: there is no \(files.denied), so no certificate is denied")
    }
  }

  /// When the certificate ends, in seconds since 1970; nil where that cannot be read.
  var certificateEnd: Int64? { identities.current.certificate.end }

  /// Takes over a new certificate or deny list as the files change, until the task is cancelled. Live
  /// tunnels go on with what they have, but those of a denied certificate end.
  func follow(for relay: Relay) async {
    var seen = Self.state(of: files.withLock { $0 })
    while (try? await Task.sleep(for: Self.refresh)) != nil {
      let files = files.withLock { $0 }
      let now = Self.state(of: files)
      guard now != seen else { continue }
      do {
        try takeOver(files, for: relay)
        seen = now
        logger.notice("took over the identity and the deny list as they are on disk now")
      } catch {
        // Half-written files: the next look finds them whole.
        logger.error("the identity's files cannot be taken over: \(error)")
      }
    }
  }

  /// Has these files say who the runner is and what is denied from now on. Throws `TunnelError`, `SystemError`
  /// or `ConfigurationProblem`, and then nothing has changed.
  func takeOver(_ new: Istbpf_Relay_V1_IdentityFiles, for relay: Relay) throws {
    let identity = try new.identity(of: name)
    let denied = try new.deniedSerials()
    guard !denied.isEmpty || identities.denied.isEmpty || SmallFile.exists(new.denied) else {
      throw ConfigurationProblem(
        key: "tunnel.denied",
        problem: "is gone: what it denied stays denied; an empty file denies nothing")
    }
    identities.rotate(to: identity)
    identities.deny(denied)
    files.withLock { $0 = new }
    relay.enforceDenyList()
  }

  /// What changes when a file does: inode, size and time.
  private static func state(of files: Istbpf_Relay_V1_IdentityFiles) -> [String] {
    [files.certificate, files.key, files.authorities, files.denied].map { file in
      var status = stat()
      guard stat(file, &status) == 0 else { return "" }
      return "\(status.st_ino) \(status.st_size) \(status.st_mtim.tv_sec).\(status.st_mtim.tv_nsec)"
    }
  }
}
