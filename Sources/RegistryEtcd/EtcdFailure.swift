import GRPCCore
import Registry

/// The chain of an error's causes as text.
enum Causes {
  /// `error` and what caused it, the outermost first, each once.
  static func text(of error: any Error) -> String {
    var texts: [String] = []
    var next: (any Error)? = error
    while let current = next, texts.count < 5 {
      let text: String
      switch current {
      case let error as RPCError: (text, next) = (error.message, error.cause)
      case let error as RuntimeError: (text, next) = (error.message, error.cause)
      default: (text, next) = ("\(current)", nil)
      }
      if !text.isEmpty, !texts.contains(text) { texts.append(text) }
    }
    return texts.joined(separator: ": ")
  }
}

extension RPCError {
  /// Whether this server could not do it and another may: down, cut off, without a leader, too slow.
  var isOfServer: Bool {
    switch code {
    case .unavailable, .deadlineExceeded, .cancelled: true
    // A connection that breaks in the middle of an answer.
    case .internalError, .unknown: !message.hasPrefix("etcdserver:")
    default: false
    }
  }

  /// Whether the token is old, and a new one would do.
  var isOfToken: Bool {
    message.contains("invalid auth token") || message.contains("revision of auth store is old")
  }

  /// Whether the lease that a call named has ended.
  var isOfLease: Bool { code == .notFound && message.contains("lease not found") }

  /// Whether the revision that a call named is compacted.
  var isOfCompaction: Bool {
    code == .outOfRange && message.contains("required revision has been compacted")
  }

  /// What to say of a server that did not answer, with the likely cause where TLS tells one.
  var serverFailure: String {
    let text = Causes.text(of: self)
    if text.contains("CERTIFICATE_VERIFY_FAILED") {
      return """
        its certificate is not signed by the configured CA, or not valid by this runner's clock \
        (\(text))
        """
    }
    if text.contains("unableToValidateCertificate") || text.contains("IPMismatch")
      || text.contains("failedToValidateHostname") || text.contains("noMatchingHost")
    {
      return "its certificate is for another name than the endpoint's (\(text))"
    }
    if text.contains("ALERT_CERTIFICATE_REQUIRED") || text.contains("ALERT_BAD_CERTIFICATE")
      || text.contains("ALERT_UNKNOWN_CA") || text.contains("CERTIFICATE_UNKNOWN")
      || text.contains("ALERT_CERTIFICATE_EXPIRED")
    {
      return """
        it refuses the client certificate, which may not be valid by its clock, or wants one and none \
        is configured (\(text))
        """
    }
    if text.contains("WRONG_VERSION_NUMBER") { return "it does not speak TLS (\(text))" }
    if code == .deadlineExceeded { return "no answer in time" }
    return text
  }

  /// The registry's own error for one that is no failure of a server.
  func registryError(_ endpoints: [String]) -> RegistryError {
    let detail = "\(message) (\(code))"
    switch code {
    case .permissionDenied, .unauthenticated: return .denied(endpoints: endpoints, detail: detail)
    case .invalidArgument
    where message.contains("authentication failed") || message.contains("user name is empty"):
      return .denied(endpoints: endpoints, detail: detail)
    case .failedPrecondition where message.contains("authentication is not enabled"):
      return .denied(
        endpoints: endpoints,
        detail: "a user is configured, and authentication is not enabled there")
    case .resourceExhausted where message.contains("space"):
      return .full(file: "etcd at \(endpoints.joined(separator: ", "))", detail: detail)
    default:
      return .unavailable(file: "etcd at \(endpoints.joined(separator: ", "))", detail: detail)
    }
  }
}
