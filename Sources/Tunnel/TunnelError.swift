import CBoringSSL
import LinuxSystem
import SystemPackage

/// Why a tunnel could not be made, or ended: the peer, its certificate as far as it is known, and
/// the cause.
public struct TunnelError: Error, Hashable, Sendable {
  /// What kind of failure it is.
  public enum Kind: Hashable, Sendable {
    /// The certificate is not of the cluster's authority, or is not valid now.
    case untrusted
    /// The certificate is valid, but does not name the runner, or the cluster, that it should.
    case wrongName
    /// The certificate's serial number is on the deny list.
    case revoked
    /// The peer does not speak TLS 1.3 as a runner does, or refused this runner's certificate.
    case handshake
    /// The peer broke the protocol inside the tunnel.
    case protocolViolation
    /// It took too long.
    case timedOut
    /// The peer closed the connection.
    case closed
    /// A system call failed.
    case system(Errno)
    /// This runner's own certificate, key or authority cannot be used.
    case ownIdentity
  }

  /// What kind of failure it is.
  public let kind: Kind
  /// The peer, as an address or a runner's name; "this runner" for `ownIdentity`.
  public let peer: String
  /// The certificate's subject and serial number, where one was seen.
  public let certificate: String?
  /// The cause in words.
  public let cause: String

  /// Whether the peer broke off without saying why, as one does that has too much to do.
  package var isPassing: Bool {
    switch kind {
    case .closed, .system(.connectionReset), .system(.brokenPipe): true
    default: false
    }
  }

  /// Whether nothing came from the peer: it is down, or the network is.
  package var isSilence: Bool {
    switch kind {
    case .timedOut, .system(.timedOut), .system(.noRouteToHost), .system(.networkUnreachable),
      .system(.hostIsDown):
      true
    default: false
    }
  }

  init(_ kind: Kind, peer: String, certificate: String? = nil, _ cause: String) {
    (self.kind, self.peer, self.certificate, self.cause) = (kind, peer, certificate, cause)
  }

  /// A system call that failed for the tunnel with `peer`.
  package static func system(_ errno: Errno, peer: String, _ operation: String) -> TunnelError {
    TunnelError(.system(errno), peer: peer, "cannot \(operation): \(errno)")
  }

  /// An end of the tunnel with `peer` that was not agreed on.
  package static func ended(_ kind: Kind, peer: String, _ cause: String) -> TunnelError {
    TunnelError(kind, peer: peer, cause)
  }
}

extension TunnelError: CustomStringConvertible {
  /// The whole error in one line.
  public var description: String {
    let certificate = certificate.map { ", certificate \($0)" } ?? ""
    return "no tunnel with \(peer)\(certificate): \(cause)"
  }
}

/// BoringSSL's queue of errors, which belongs to the calling thread.
enum BoringSSLErrors {
  /// What the oldest error says, or `otherwise` where there is none; empties the queue.
  static func take(_ otherwise: String) -> String {
    let code = ERR_get_error()
    ERR_clear_error()
    guard code != 0, let text = ERR_reason_error_string(code) else { return otherwise }
    // They are written as UNKNOWN_PROTOCOL.
    return String(cString: text).lowercased().replacing("_", with: " ")
  }

  /// The words for an alert, with the likely cause where a peer found this runner's certificate not
  /// valid now: an alert does not say more, and the peer's log is on another machine.
  static func explain(alert text: String) -> String {
    guard text.contains("bad certificate") || text.contains("certificate expired") else {
      return text
    }
    return "\(text): to that runner this one's certificate has expired or is not valid yet, or is "
      + "broken; are the clocks of both right?"
  }
}
