import Model
import Tunnel

/// What a peer that has a certificate says first, and what is said to it.
extension FuzzTarget {
  static let preface = FuzzTarget("preface", seeds: prefaces.map { Array($0.dropFirst(4)) }) {
    bytes in
    guard let preface = try? StreamPreface(decoding: bytes) else { return }
    // What was understood can be said again, and is understood so.
    guard let frame = try? preface.frame(),
      let again = try? StreamPreface(decoding: Array(frame.dropFirst(Frame.headerSize)))
    else { preconditionFailure("\(preface) cannot be said") }
    precondition(again == preface)
    precondition(frame.count - Frame.headerSize <= StreamPreface.maximumSize)
  }

  static let answer = FuzzTarget(
    "answer",
    seeds: [StreamAnswer(errno: 111), StreamAnswer(errno: 0, token: StreamToken(loop: 1))]
      .compactMap { try? Array($0.frame().dropFirst(Frame.headerSize)) }
  ) { bytes in
    guard let answer = try? StreamAnswer(decoding: bytes) else { return }
    precondition((0..<4096).contains(answer.errno))
    precondition(answer.errno != 0 || answer.token != nil)
  }

  static let frameHeader = FuzzTarget(
    "frame-header", seeds: [Frame.data(7), .end, .reset(104), .move, .moveRequest].map(\.bytes)
  ) { bytes in
    let header = bytes.prefix(4).reduce(0 as UInt32) { $0 << 8 | UInt32($1) }
    if let frame = Frame(header: header) { precondition(frame.header == header) }
  }

  static let runnerNames = FuzzTarget(
    "runner-names", seeds: ["spiffe://c/runner/a", "0A:ff"].map { Array($0.utf8) }
  ) { bytes in
    let text = String(decoding: bytes, as: UTF8.self)
    if let runner = RunnerIdentifier(uri: text) { precondition(runner.uri == text) }
    if let serial = CertificateSerial(text) {
      precondition(CertificateSerial(serial.hexadecimal) == serial)
    }
  }

  /// Prefaces as frames.
  static var prefaces: [[UInt8]] {
    let token = StreamToken(loop: 1)
    guard let deployment = try? DeploymentName("shop"), let port = try? PortNumber(80) else {
      return []
    }
    let request = StreamRequest(
      deployment: deployment, source: IPv4Address(0x7f00_0001),
      destination: IPv4Address(0x7f00_0001), port: port)
    return [
      StreamPreface.open(request), .resume(token, sending: true), .resume(token, sending: false),
    ].compactMap { try? $0.frame() }
  }
}
