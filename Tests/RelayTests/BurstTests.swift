import Glibc
import LinuxSystem
import Relay
import Synchronization
import Testing
import TunnelTestSupport

@Suite("Many connections at once", .timeLimit(.minutes(10)))
struct BurstTests {
  @Test(
    "300 that begin at once and stay open all come about, with no tunnel ready", arguments: [1, 2])
  func burst(loops: Int) throws {
    let laboratory = try RelayLaboratory(
      a: configuration(kernel: true, loops: loops), b: configuration(kernel: true, loops: loops))
    defer { laboratory.stop() }
    let (listener, port) = try TestSocket.listener()
    let held = Mutex<[RelayStream]>([])
    let errors = Mutex<[Int32]>([])
    let outcomes = (0..<300).map { _ in Outcome() }
    let request = try RelayLaboratory.request(port)
    for outcome in outcomes {
      laboratory.a.open(request, to: laboratory.peer, timeout: .seconds(20)) { outcome.set($0) }
    }
    for outcome in outcomes {
      switch outcome.wait() {
      case .success(let stream): held.withLock { $0.append(stream) }
      case .failure(let refusal): errors.withLock { $0.append(refusal.errno) }
      }
    }
    #expect(errors.withLock { $0 } == [])
    #expect(held.withLock { $0.count } == 300)
    _ = listener
  }

  @Test("All that wait for a runner where nobody listens are told, not only as many as are dialled")
  func nobody() throws {
    let closed = try TestSocket.listener().port
    let laboratory = try RelayLaboratory(wire: { _ in closed })
    defer { laboratory.stop() }
    let outcomes = (0..<200).map { _ in Outcome() }
    let request = try RelayLaboratory.request(1)
    for outcome in outcomes {
      laboratory.a.open(request, to: laboratory.peer, timeout: .seconds(60)) { outcome.set($0) }
    }
    for outcome in outcomes {
      guard case .failure(let refusal) = outcome.wait() else {
        Issue.record("it was accepted")
        continue
      }
      #expect(refusal.errno == EHOSTUNREACH)
      #expect(!refusal.isReached)
    }
  }

  @Test("A service whose queue is full is waited for, longer than its runner may be silent")
  func busy() throws {
    let laboratory = try RelayLaboratory()
    defer { laboratory.stop() }
    let (listener, port) = try TestSocket.listener()
    listener.limit(60)
    // One more than it is told may wait; the SYNs of others are dropped (listen(2)).
    #expect(listen(listener.descriptor, 4) == 0)
    let waiting = try (0..<5).map { _ in try TestSocket.connect(port) }
    let request = try RelayLaboratory.request(port)
    let outcomes = (0..<3).map { _ in Outcome() }
    for outcome in outcomes {
      laboratory.a.open(
        request, to: laboratory.peer, timeout: .milliseconds(1500), answerTimeout: .seconds(60)
      ) { outcome.set($0) }
    }
    sleep(5)
    try concurrently(
      { for _ in 0..<8 { _ = try listener.accept() } },
      {
        for outcome in outcomes {
          if case .failure(let refusal) = outcome.wait() { Issue.record("\(refusal)") }
        }
      })
    _ = waiting
  }

  @Test("A runner whose service is busy was reached, though its caller has given up")
  func abandoned() throws {
    let laboratory = try RelayLaboratory()
    defer { laboratory.stop() }
    let (listener, port) = try TestSocket.listener()
    #expect(listen(listener.descriptor, 1) == 0)
    let waiting = try (0..<2).map { _ in try TestSocket.connect(port) }
    let outcome = Outcome()
    laboratory.a.open(
      try RelayLaboratory.request(port), to: laboratory.peer, timeout: .seconds(1),
      answerTimeout: .seconds(60), isWanted: { false }
    ) { outcome.set($0) }
    guard case .failure(let refusal) = outcome.wait() else {
      Issue.record("it was accepted")
      return
    }
    #expect(refusal.errno == ETIMEDOUT && refusal.isReached && !refusal.isSilence)
    _ = waiting
  }
}
