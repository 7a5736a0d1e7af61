import GRPCCore
import Registry
import Synchronization

/// What a watch tells.
enum WatchEvent: Sendable {
  /// It is set up, at a store that is at `revision`.
  case started(revision: Int64)

  /// What happened, up to `revision`.
  case changed([Mvccpb_Event], revision: Int64)
}

/// The watch cannot tell what happened since its first revision: everything has to be listed again.
struct WatchIsBehind: Error {}

private final class Flag: Sendable {
  let value = Mutex(false)
}

extension EtcdClient {
  /// Calls `body` with what happens to the keys of `range` from `revision` on, until it fails.
  ///
  /// - Throws: `WatchIsBehind` where `revision` is compacted; else as `call`.
  func watch(
    _ range: KeyRange, from revision: Int64,
    _ body: @escaping @Sendable (WatchEvent) async throws -> Void
  ) async throws {
    var create = Etcdserverpb_WatchCreateRequest()
    create.key = range.start
    create.rangeEnd = range.end
    create.startRevision = revision
    create.fragment = true
    let request = Etcdserverpb_WatchRequest.with { $0.createRequest = create }
    var options = options
    // It lasts for ever; that the server is there is seen by HTTP/2 pings, and that it began, below.
    options.timeout = nil
    let hasBegun = Flag()
    try await withThrowingTaskGroup(of: Void.self) { group in
      defer { group.cancelAll() }
      group.addTask { [options] in
        try await self.stream { connection, metadata in
          try await connection.watch.watch(metadata: metadata, options: options) { writer in
            try await writer.write(request)
            // The end of the requests would end the watch.
            while true { try await Task.sleep(for: .seconds(3600)) }
          } onResponse: { response in
            try await Self.read(response.messages, hasBegun: hasBegun, body)
          }
        }
      }
      group.addTask { [callTimeout, urls] in
        try await Task.sleep(for: callTimeout)
        guard hasBegun.value.withLock({ $0 }) else {
          throw RegistryError.unreachable(endpoints: urls, detail: "a watch did not begin in time")
        }
        while true { try await Task.sleep(for: .seconds(3600)) }
      }
      try await group.next()
    }
  }

  private static func read(
    _ messages: RPCAsyncSequence<Etcdserverpb_WatchResponse, any Error>,
    hasBegun: Flag, _ body: (WatchEvent) async throws -> Void
  ) async throws {
    var fragments: [Mvccpb_Event] = []
    for try await message in messages {
      if message.compactRevision > 0 { throw WatchIsBehind() }
      if message.canceled {
        throw RPCError(
          code: message.cancelReason.contains("permission") ? .permissionDenied : .unavailable,
          message: "the watch was ended: \(message.cancelReason)")
      }
      if message.created {
        hasBegun.value.withLock { $0 = true }
        try await body(.started(revision: message.header.revision))
      }
      // What happened in one transaction is one change, however many messages it takes.
      fragments += message.events
      if message.fragment || fragments.isEmpty { continue }
      // The header's revision is not taken: etcd before 3.4.25 and 3.5.8 may tell one ahead of events
      // that are still to come (etcd issue 15220).
      let revision = fragments.map(\.kv.modRevision).max() ?? 0
      try await body(.changed(fragments, revision: revision))
      fragments = []
    }
    throw RPCError(code: .unavailable, message: "the server ended the watch")
  }
}
