import CLinux
import COpenSSL
import Glibc
import LinuxSystem
import SystemPackage

/// An established tunnel: bytes in and out on a non-blocking socket, sealed by the kernel or here.
///
/// For one thread at a time.
package final class TunnelChannel {
  /// The most that is sealed or opened at a time, in bytes: eight of TLS's largest records.
  package static let batch = 65_536

  /// The socket, valid as long as this object lives.
  package let descriptor: Int32
  /// Who is at the other end.
  package let peer: PeerCertificate
  /// Where what is sent is sealed.
  package let sendMode: TunnelMode
  /// Where what is received is opened.
  package let receiveMode: TunnelMode
  /// The records that were sealed with the sending key.
  package internal(set) var recordsSent: UInt64 = 0

  let connection: OpaquePointer
  let buffer: SendBuffer
  private let socket: OwnedDescriptor

  /// Takes over an `SSL` whose handshake has ended.
  init(
    _ connection: OpaquePointer, socket: consuming OwnedDescriptor, buffer: SendBuffer,
    peer: PeerCertificate, send: TunnelMode, receive: TunnelMode
  ) {
    descriptor = socket.rawValue
    self.socket = socket
    (self.connection, self.buffer, self.peer) = (connection, buffer, peer)
    (sendMode, receiveMode) = (send, receive)
    if receive == .userSpace {
      // During the handshake it would have taken bytes that the kernel has to open.
      SSL_set_read_ahead(connection, 1)
      SSL_set_default_read_buffer_len(connection, Self.batch + 16_384)
    }
  }

  deinit { SSL_free(connection) }

  /// Tells the peer that this is the end (close_notify), as far as the socket takes it at once.
  package func close() {
    switch sendMode {
    case .kernel:
      if buffer.isEmpty { _ = linux_tls_close_notify(descriptor) }
    case .userSpace:
      ERR_clear_error()
      SSL_shutdown(connection)
      _ = buffer.flush()
      ERR_clear_error()
    }
  }

  /// Whether nothing has come and the peer has not gone, as it should be between two streams.
  package var isQuiet: Bool {
    if receiveMode == .userSpace, SSL_has_pending(connection) == 1 { return false }
    var byte: UInt8 = 0
    let received = linux_receive(descriptor, &byte, 1, 1)
    return received < 0 && Errno.last == .resourceTemporarilyUnavailable
  }
}
