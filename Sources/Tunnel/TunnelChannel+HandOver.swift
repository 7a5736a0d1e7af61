import CLinux
import Foundation
import HandOver
import LinuxSystem
import Model

/// Passing a tunnel on to another process, which goes on with its socket and its keys at the same record.
extension TunnelChannel {
  /// Says what it is now, and adds the keys of the directions that are not the kernel's. The socket is `descriptor`.
  package func describe(in message: inout Istbpf_Handover_V1_Tunnel, keys: HandOverKeys) {
    (message.cluster, message.runner) = (peer.runner.cluster, peer.runner.name)
    message.serial = peer.serial.hexadecimal
    if let end = peer.end { message.certificateEnd = end }
    (message.resumed, message.recordsSent) = (isResumed, recordsSent)
    message.unsent = Data(buffer.bytes)
    if let sealer {
      message.sealedRecords = sealer.number
      keys.add(sealer.keys)
    }
    if let records {
      message.openedRecords = records.cipher.number
      keys.add(records.cipher.keys)
      let waiting = records.waiting
      (message.opened, message.sealed) = (Data(waiting.opened), Data(waiting.sealed))
    }
  }

  /// Takes over `socket` from the process that says so of it; nil where that cannot be.
  package convenience init?(
    _ message: Istbpf_Handover_V1_Tunnel, keys: HandOverKeys, socket: consuming OwnedDescriptor
  ) {
    guard let runner = RunnerIdentifier(cluster: message.cluster, name: message.runner),
      let serial = CertificateSerial(message.serial)
    else { return nil }
    var ciphers: [RecordCipher?] = []
    for number in [
      message.hasSealedRecords ? message.sealedRecords : nil,
      message.hasOpenedRecords ? message.openedRecords : nil,
    ] {
      let cipher = number.flatMap { number in
        keys.withNext { RecordCipher($0, number: number) }
      }
      guard (cipher == nil) == (number == nil) else { return nil }
      ciphers.append(cipher)
    }
    let descriptor = socket.rawValue
    self.init(
      socket, buffer: SendBuffer(descriptor: descriptor),
      peer: PeerCertificate(
        runner: runner, serial: serial,
        end: message.hasCertificateEnd ? message.certificateEnd : nil),
      isResumed: message.resumed, sealer: ciphers[0], opener: ciphers[1])
    recordsSent = message.recordsSent
    let isSentRestored = message.unsent.withUnsafeBytes { bytes in
      bytes.baseAddress.map { buffer.append($0, bytes.count) } ?? true
    }
    let isReadRestored =
      records?.restore(opened: message.opened, sealed: message.sealed)
      ?? (message.opened.isEmpty && message.sealed.isEmpty)
    guard isSentRestored, isReadRestored else { return nil }
  }
}
