// relay-bench [user] [stall] [MiB]: two relays in this process over loopback beside raw TCP: bulk,
// 64 B round trip, streams one after the other. Rough numbers while working on the loop; the bench
// that counts runs two daemons (Scripts/bench).
import CLinux
import Glibc
import LinuxSystem
import Relay
import Tunnel
import TunnelTestSupport

func seconds(_ body: () throws -> Void) rethrows -> Double {
  let clock = ContinuousClock()
  let time = try clock.measure(body).components
  return Double(time.seconds) + Double(time.attoseconds) / 1e18
}

/// Runs `body` on a thread of its own; the result joins it.
func thread(_ body: @escaping @Sendable () -> Void) -> () -> Void {
  var thread = pthread_t()
  final class Box {
    let body: @Sendable () -> Void;
    init(_ body: @escaping @Sendable () -> Void) { self.body = body }
  }
  pthread_create(
    &thread, nil,
    {
      guard let argument = $0 else { return nil }
      Unmanaged<Box>.fromOpaque(argument).takeRetainedValue().body()
      return nil
    }, Unmanaged.passRetained(Box(body)).toOpaque())
  let started = thread
  return { pthread_join(started, nil) }
}

/// A service: by the first byte it swallows ('s') or echoes ('e').
let (listener, port) = try TestSocket.listener()
_ = thread {
  while let connection = try? listener.accept() {
    _ = thread {
      guard let kind = try? connection.receiveExactly(1).first else { return }
      if kind == UInt8(ascii: "s") {
        let memory = UnsafeMutableRawPointer.allocate(byteCount: 262_144, alignment: 64)
        while recv(connection.descriptor, memory, 262_144, 0) > 0 {}
        try? connection.send([1])
      } else {
        while let bytes = try? connection.receive(64), !bytes.isEmpty {
          try? connection.send(bytes)
        }
      }
    }
  }
}

func measure(_ name: String, mebibytes: Int, _ connect: () throws -> TestSocket) throws {
  let bulk = try connect()
  try bulk.send(Array("s".utf8))
  let block = [UInt8](repeating: 7, count: 262_144)
  let time = try seconds {
    for _ in 0..<(mebibytes * 4) { try bulk.send(block) }
    bulk.finish()
    _ = try bulk.receiveExactly(1)
  }
  let small = try connect()
  let trips = min(10_000, mebibytes * 5)
  try small.send(Array("e".utf8))
  let message = [UInt8](repeating: 1, count: 64)
  for _ in 0..<(trips / 10) { try small.send(message); _ = try small.receiveExactly(64) }
  let round = try seconds {
    for _ in 0..<trips { try small.send(message); _ = try small.receiveExactly(64) }
  }
  let count = min(2_000, mebibytes)
  let connects = try seconds {
    for _ in 0..<count {
      let socket = try connect()
      try socket.send(Array("ex".utf8))
      _ = try socket.receiveExactly(1)
    }
  }
  let bulkRate = Int(Double(mebibytes) / time)
  let trip = (round / Double(trips) * 1e7).rounded() / 10
  print(
    "\(name): bulk \(bulkRate) MiB/s, round trip \(trip) us, \(Int(Double(count) / connects)) streams/s"
  )
}

let arguments = CommandLine.arguments
var configuration = RelayConfiguration()
configuration.usesKernelTLS = !arguments.contains("user")
let mebibytes = arguments.compactMap(Int.init).first ?? 2048
print("kernel TLS: \(KernelTLS.probe())")

/// The memory of this process, in KiB.
func resident() throws -> Int {
  let line = try SmallFile.read("/proc/self/status").split(separator: "\n").first {
    $0.hasPrefix("VmRSS")
  }
  return line.flatMap { Int($0.filter(\.isNumber)) } ?? 0
}

/// How much memory streams hold whose service does not read: both relays' share together.
@MainActor func stall(_ count: Int) throws {
  let laboratory = try RelayLaboratory(a: configuration, b: configuration)
  let (service, port) = try TestSocket.listener()
  var sockets: [TestSocket] = []
  for _ in 0..<count {
    sockets.append(try laboratory.connect(port))
    sockets.append(try service.accept())
  }
  let block = [UInt8](repeating: 1, count: 1 << 20)
  let before = try resident()
  var sent = 0
  for _ in 0..<40 {
    for program in sockets {
      _ = fcntl(program.descriptor, F_SETFL, O_NONBLOCK)
      sent += max(0, send(program.descriptor, block, block.count, Int32(MSG_NOSIGNAL)))
    }
    usleep(50_000)
  }
  let grown = try resident() - before
  print("\(count) stalled streams, both ways: \(sent >> 20) MiB taken from the programs,")
  print("\(grown / count) KiB of this process per stream, for both relays")
  laboratory.stop()
}

if arguments.contains("stall") {
  try stall(100)
  exit(0)
}
for _ in 0..<2 {
  try measure("raw", mebibytes: mebibytes) { try TestSocket.connect(port) }
  let laboratory = try RelayLaboratory(a: configuration, b: configuration)
  // As with raw TCP, the program connects once: here to a listener, from which the relay's end comes.
  let (front, frontPort) = try TestSocket.listener()
  try measure("relay", mebibytes: mebibytes) {
    let stream = try laboratory.open(port).get()
    let program = try TestSocket.connect(frontPort)
    laboratory.a.join(OwnedDescriptor(owning: try front.accept().duplicate()), to: stream)
    return program
  }
  print(laboratory.a.counters)
  laboratory.stop()
}
exit(0)
