import ArgumentParser
import Foundation
import Glibc
import LinuxSystem
import Relay
import Tunnel
import TunnelTestSupport

/// Long transfers through two relays in this process, again and again: what Scripts/soak runs.
@main
struct Soak: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "relay-soak",
    abstract: "Carry many bytes each way through a relayed connection, again and again.",
    discussion: """
      Exit status 0 only if every byte came as it was sent, and neither a descriptor nor memory is \
      left over. Keys are changed every 64 MiB, so that streams move from tunnel to tunnel.
      """)

  @Option(help: "How often.") var rounds = 200
  @Option(help: "MiB in each direction.") var mebibytes = 1024
  @Flag(help: "Without kernel TLS.") var userSpace = false

  func run() throws {
    print("kernel TLS: \(userSpace ? "not used" : "\(KernelTLS.probe())")")
    let before = Self.descriptors()
    try soak()
    guard eventually(10, { Self.descriptors() <= before }) else {
      throw Failure(
        "\(Self.descriptors() - before) descriptors more than at the start: \(Self.targets())")
    }
    print("all equal; no descriptor and no memory is left over")
  }

  private func soak() throws {
    var configuration = RelayConfiguration()
    configuration.usesKernelTLS = !userSpace
    configuration.keyUsage = KeyUsageLimit(records: 4096)
    let laboratory = try RelayLaboratory(a: configuration, b: configuration)
    let listener = try TestSocket.listener()
    let transfer = LongTransfer(size: mebibytes << 20)
    let start = ContinuousClock.now
    var baseline = 0
    for round in 1...rounds {
      do {
        let program = try laboratory.connect(listener.port)
        try transfer.run(between: program, and: try listener.socket.accept())
      }
      for _ in 0..<20 { try shortLife(laboratory, listener) }
      guard
        eventually(
          30, { laboratory.a.counters.streamsLive + laboratory.b.counters.streamsLive == 0 })
      else { throw Failure("round \(round) left streams: \(laboratory.a.counters)") }
      // Memory that allocators keep for the next round is there after the second.
      if round <= 2 { baseline = max(baseline, Self.resident()) }
      let seconds = (ContinuousClock.now - start).components.seconds
      print(
        "round \(round) of \(rounds): equal; \(seconds) s, \(Self.resident()) KiB, "
          + "\(Self.descriptors()) descriptors, \(laboratory.a.counters.streamsMoved) moves")
      fflush(nil)
    }
    let counters = laboratory.a.counters
    guard counters.streamsTruncated == 0 else { throw Failure("streams were cut: \(counters)") }
    let grown = Self.resident() - baseline
    guard grown < 16_384 else { throw Failure("memory grew by \(grown) KiB since round 2") }
    laboratory.stop()
  }

  /// A connection of a few bytes that ends in one of the ways there are.
  private func shortLife(
    _ laboratory: RelayLaboratory, _ listener: (socket: TestSocket, port: UInt16)
  ) throws {
    let program = try laboratory.connect(listener.port)
    let service = try listener.socket.accept()
    let (one, other) = Bool.random() ? (program, service) : (service, program)
    switch Int.random(in: 0..<3) {
    case 0:
      try one.send([1, 2, 3])
      one.resetOnClose()
    case 1:
      try one.send([1, 2, 3])
      one.finish()
      guard try other.receiveAll() == [1, 2, 3] else { throw Failure("3 bytes did not come") }
      try other.send([4])
      other.finish()
      guard try one.receiveAll() == [4] else { throw Failure("a byte did not come back") }
    default: try other.send([UInt8](repeating: 1, count: 100_000))
    }
  }

  private struct Failure: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
  }

  private static func descriptors() -> Int {
    (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count) ?? 0
  }

  /// What the descriptors of this process lead to.
  private static func targets() -> [String] {
    let directory = "/proc/self/fd"
    let names = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
    return names.compactMap {
      try? FileManager.default.destinationOfSymbolicLink(atPath: "\(directory)/\($0)")
    }
  }

  /// The memory of this process, in KiB.
  private static func resident() -> Int {
    let lines = (try? SmallFile.read("/proc/self/status"))?.split(separator: "\n") ?? []
    return lines.first { $0.hasPrefix("VmRSS") }.flatMap { Int($0.filter(\.isNumber)) } ?? 0
  }
}
