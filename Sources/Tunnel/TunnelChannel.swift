import CLinux
import Glibc
import LinuxSystem
import SystemPackage

/// An established tunnel: bytes in and out on a non-blocking socket, sealed by the kernel or here.
///
/// For one thread at a time.
package final class TunnelChannel {
  /// The most that is sealed or opened at a time, in bytes: eight of TLS's largest records.
  package static let batch = 131_072

  /// The socket, valid as long as this object lives.
  package let descriptor: Int32
  /// Who is at the other end.
  package let peer: PeerCertificate
  /// Whether its runners knew each other by a key of an earlier tunnel, and showed no certificates.
  package let isResumed: Bool
  /// Where what is sent is sealed.
  package let sendMode: TunnelMode
  /// Where what is received is opened.
  package let receiveMode: TunnelMode
  /// The records that were sealed with the sending key.
  package internal(set) var recordsSent: UInt64 = 0

  let buffer: SendBuffer
  /// What seals where the kernel does not.
  let sealer: RecordCipher?
  /// What reads and opens where the kernel does not.
  let records: RecordReader?
  private let socket: OwnedDescriptor

  /// Takes over the socket of a handshake that has ended, with the keys that it came to. A direction
  /// without a cipher is the kernel's.
  init(
    _ socket: consuming OwnedDescriptor, buffer: SendBuffer, peer: PeerCertificate,
    isResumed: Bool, sealer: RecordCipher?, opener: RecordCipher?
  ) {
    let descriptor = socket.rawValue
    self.descriptor = descriptor
    self.socket = socket
    (self.buffer, self.peer, self.isResumed, self.sealer) = (buffer, peer, isResumed, sealer)
    records = opener.map { RecordReader(descriptor: descriptor, cipher: $0) }
    sendMode = sealer == nil ? .kernel : .userSpace
    receiveMode = opener == nil ? .kernel : .userSpace
  }

  /// Tells that the socket has become readable, and whether its end has come.
  package func noteReadable(hasEnd: Bool) {
    records?.noteReadable()
    records?.hasEnd = hasEnd
  }

  /// Tells the peer that this is the end (close_notify, RFC 8446 6.1), as far as the socket takes it
  /// at once.
  package func close() {
    if let sealer {
      _ = buffer.append([1, 0], 2, type: RecordCipher.ContentType.alert, by: sealer)
      _ = buffer.flush()
    } else if buffer.isEmpty {
      _ = linux_tls_close_notify(descriptor)
    }
  }

  /// Whether nothing has come and the peer has not gone, as it should be between two streams.
  package var isQuiet: Bool {
    if let records, !records.isEmpty { return false }
    var byte: UInt8 = 0
    let received = linux_receive(descriptor, &byte, 1, 1)
    return received < 0 && Errno.last == .resourceTemporarilyUnavailable
  }
}
