import CLinux
import CBoringSSL
import Glibc
import SystemPackage

extension TunnelChannel {
  /// What a call to receive has come to.
  package enum ReceiveResult {
    /// So many bytes, at least one.
    case bytes(Int)
    /// Nothing until the socket is readable.
    case blocked
    /// The tunnel has ended or is broken, for this reason.
    case ended(TunnelError)
  }

  /// Receives up to `count` bytes; no call takes more from the tunnel than it returns. The others of the
  /// `count` may be written to as well.
  package func receive(into bytes: UnsafeMutableRawPointer, _ count: Int) -> ReceiveResult {
    guard let records else {
      let received = linux_receive(descriptor, bytes, UInt64(count), 0)
      return received > 0 ? .bytes(Int(received)) : explainKernel(received)
    }
    switch records.read(into: bytes, count) {
    case .bytes(let received): return .bytes(received)
    case .blocked: return .blocked
    case .end: return end(.closed, "it closed the connection")
    case .alert(let alert): return end(alert)
    case .failed(let error): return end(.system(error), "the connection broke: \(error)")
    case .violation(let cause): return end(.protocolViolation, cause)
    }
  }

  /// With kernel TLS, moves up to `count` bytes from the tunnel into the pipe.
  package func splice(into pipe: Int32, _ count: Int) -> ReceiveResult {
    let moved = linux_splice(descriptor, pipe, UInt64(count))
    return moved > 0 ? .bytes(Int(moved)) : explainKernel(moved)
  }

  private func explainKernel(_ result: Int64) -> ReceiveResult {
    guard result < 0 else { return end(.closed, "it closed the connection") }
    let error = Errno.last
    switch error {
    case .resourceTemporarilyUnavailable, .interrupted: return .blocked
    // A record that is not data: EIO from recv(2), EINVAL from splice(2).
    case .ioError, .invalidArgument: return explainControlRecord()
    case .badMessage: return end(.protocolViolation, "a record was forged or damaged")
    default: return end(.system(error), "the connection broke: \(error)")
    }
  }

  /// Reads a record that is no data, which in a tunnel can only be its end.
  private func explainControlRecord() -> ReceiveResult {
    var type: UInt8 = 0
    var bytes = [UInt8](repeating: 0, count: 64)
    let received = linux_tls_receive(descriptor, &bytes, UInt64(bytes.count), &type)
    guard received >= 0 else {
      let error = Errno.last
      return end(.system(error), "the connection broke: \(error)")
    }
    if received == 0 { return end(.closed, "it closed the connection") }
    guard type == RecordCipher.ContentType.alert, received == 2 else {
      return end(.protocolViolation, "it sent a record of type \(type)")
    }
    return end(bytes[1])
  }

  /// The peer's alert: close_notify, or why it refuses the tunnel (RFC 8446 6).
  private func end(_ alert: UInt8) -> ReceiveResult {
    if alert == 0 { return end(.closed, "it closed the tunnel") }
    let text = SSL_alert_desc_string_long(Int32(alert)).map { String(cString: $0) }
    let cause = BoringSSLErrors.explain(alert: text ?? "alert \(alert)")
    return end(.handshake, "it refused the tunnel: \(cause)")
  }

  private func end(_ kind: TunnelError.Kind, _ cause: String) -> ReceiveResult {
    .ended(.ended(kind, peer: peer.runner.name, cause))
  }
}
