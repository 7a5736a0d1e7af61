import FoundationEssentials
import Glibc
import Model
import SwiftProtobuf

/// A preface that cannot be taken, and the answer to it.
package struct PrefaceFault: Error, Hashable, Sendable {
  /// EPROTONOSUPPORT for a version that is not known, EPROTO for what is no preface.
  package let errno: Int32
  /// The cause in words.
  package let cause: String
}

extension StreamPreface {
  /// The frame: header and message.
  package func frame() throws -> [UInt8] {
    var message = Istbpf_Tunnel_V1_PrefaceMessage()
    message.version = Self.version
    switch self {
    case .open(let request):
      message.open.deployment = request.deployment.rawValue
      message.open.source = request.source.rawValue
      message.open.destination = request.destination.rawValue
      message.open.port = UInt32(request.port.rawValue)
      message.open.sourcePort = UInt32(request.sourcePort?.rawValue ?? 0)
      message.open.urgent = request.knowsUrgent
      message.open.done = request.awaitsDone
      message.open.typeOfService = UInt32(request.typeOfService)
    case .resume(let token, let isSending):
      message.continue.stream = Data(token.bytes)
      message.continue.sending = isSending
    }
    let bytes: [UInt8] = try message.serializedBytes()
    return Frame.preface(bytes.count).bytes + bytes
  }

  /// The preface in a message's `bytes`. Fields that are not known are passed over, as protobuf has
  /// it, but another version is refused.
  package init(decoding bytes: [UInt8]) throws(PrefaceFault) {
    let message: Istbpf_Tunnel_V1_PrefaceMessage
    do { message = try Istbpf_Tunnel_V1_PrefaceMessage(serializedBytes: bytes) } catch {
      throw PrefaceFault(errno: EPROTO, cause: "it sent a preface that cannot be read")
    }
    guard message.version == Self.version else {
      throw PrefaceFault(
        errno: EPROTONOSUPPORT,
        cause: "it speaks version \(message.version), and this runner \(Self.version)")
    }
    switch message.purpose {
    case .open(let open): self = .open(try Self.request(open))
    case .continue(let resumed):
      guard let token = StreamToken(bytes: resumed.stream) else {
        throw PrefaceFault(errno: EPROTO, cause: "it named a stream by other than 16 bytes")
      }
      self = .resume(token, sending: resumed.sending)
    case nil: throw PrefaceFault(errno: EPROTO, cause: "it sent a preface without purpose")
    }
  }

  private static func request(
    _ open: Istbpf_Tunnel_V1_OpenMessage
  ) throws(PrefaceFault) -> StreamRequest {
    guard let deployment = try? DeploymentName(open.deployment),
      let port = try? PortNumber(Int(open.port))
    else { throw PrefaceFault(errno: EPROTO, cause: "it asked for no deployment or no port") }
    guard let typeOfService = UInt8(exactly: open.typeOfService) else {
      throw PrefaceFault(errno: EPROTO, cause: "it asked for a type of service over 255")
    }
    var request = StreamRequest(
      deployment: deployment, source: IPv4Address(open.source),
      destination: IPv4Address(open.destination), port: port,
      sourcePort: try? PortNumber(Int(open.sourcePort)), typeOfService: typeOfService)
    request.knowsUrgent = open.urgent
    request.awaitsDone = open.done
    return request
  }
}

extension StreamAnswer {
  /// The frame: header and message.
  package func frame() throws -> [UInt8] {
    var message = Istbpf_Tunnel_V1_AnswerMessage()
    message.version = StreamPreface.version
    message.errno = UInt32(errno)
    if let token { message.stream = Data(token.bytes) }
    message.urgent = knowsUrgent
    message.done = saysDone
    let bytes: [UInt8] = try message.serializedBytes()
    return Frame.answer(bytes.count).bytes + bytes
  }

  /// The answer in a message's `bytes`; an errno that Linux has not becomes EPROTO.
  package init(decoding bytes: [UInt8]) throws(PrefaceFault) {
    guard let message = try? Istbpf_Tunnel_V1_AnswerMessage(serializedBytes: bytes) else {
      throw PrefaceFault(errno: EPROTO, cause: "it sent an answer that cannot be read")
    }
    let token = StreamToken(bytes: message.stream)
    guard message.errno != 0 || token != nil else {
      throw PrefaceFault(errno: EPROTO, cause: "it accepted a stream without naming it")
    }
    // 4095 is the kernel's own MAX_ERRNO.
    self.init(
      errno: message.errno < 4096 ? Int32(message.errno) : EPROTO, token: token,
      knowsUrgent: message.urgent, saysDone: message.done)
  }
}
