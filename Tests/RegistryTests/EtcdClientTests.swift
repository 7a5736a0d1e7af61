import Foundation
import Synchronization
import Testing

@testable import RegistryEtcd

@Suite(.serialized) struct EtcdClientTests {
  /// As when a daemon is told to end while its etcd ends: it was seen to wait for such a call for ever.
  @Test func `a call that was cancelled before it began ends with its client`() async throws {
    let server = try await EtcdServer()
    let wire = try Forwarder(to: server.port)
    let client = try EtcdClient(
      server.configuration { $0.endpoints = ["http://127.0.0.1:\(wire.port)"] })
    _ = try await client.get(Data("none".utf8))
    // The connection ends, and is made again when somebody calls; then it does not come about.
    wire.mute()
    try await Task.sleep(for: .milliseconds(500))
    let ended = Counter()
    for _ in 0..<3 {
      Task {
        withUnsafeCurrentTask { $0?.cancel() }
        _ = try? await client.get(Data("none".utf8))
        ended.value.add(1, ordering: .relaxed)
      }
      try await Task.sleep(for: .milliseconds(100))
    }
    await client.close()
    #expect(try await eventually { ended.value.load(ordering: .relaxed) == 3 })
  }
}

private final class Counter: Sendable {
  let value = Atomic(0)
}
