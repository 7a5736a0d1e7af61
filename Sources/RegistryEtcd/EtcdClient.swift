import GRPCCore
import Registry
import Synchronization

/// etcd as a whole: calls go to one server, and to the next when that fails.
final class EtcdClient: Sendable {
  let urls: [String]
  let callTimeout: Duration

  private let connections: [EtcdConnection]

  /// One more to each server, for its watch, which is not to break with the others. NIO takes a server
  /// for an attacker, and ends the connection, after 200 pings in 30 s or 200 resets in 10 s; a server
  /// in Go, such as etcd, sends both in the course of many calls, and the transport has no setting for
  /// it. `call` makes up for that; a watch would have to begin again.
  private let watching: [EtcdConnection]
  private let user: EtcdConfiguration.User?
  private let state = Mutex(State())

  private struct State {
    /// The server that calls go to.
    var current = 0
    /// What Authenticate gave; valid at every server.
    var token: String?
  }

  /// - Throws: `RegistryError.unavailable` with what is wrong with the configuration.
  init(_ configuration: EtcdConfiguration) throws {
    guard !configuration.endpoints.isEmpty else {
      throw RegistryError.unavailable(file: "etcd", detail: "no endpoint is configured")
    }
    urls = configuration.endpoints
    callTimeout = configuration.callTimeout
    user = configuration.user
    let endpoints = try urls.map(EtcdEndpoint.init)
    connections = try endpoints.map { try EtcdConnection($0, tls: configuration.tls) }
    watching = try endpoints.map { try EtcdConnection($0, tls: configuration.tls) }
  }

  /// Ends every connection and call.
  func close() async {
    for connection in connections + watching { await connection.close() }
  }

  var options: CallOptions {
    var options = CallOptions.defaults
    options.timeout = callTimeout
    options.maxResponseMessageBytes = Self.largestMessage
    // The transport takes this one as the limit of what it receives as well.
    options.maxRequestMessageBytes = Self.largestMessage
    return options
  }

  /// A page of a listing may be large; etcd itself bounds a request to 1.5 MiB.
  static let largestMessage = 64 << 20

  /// What `body` returns from the first server that answers. Each is asked once, and the first again
  /// where no more than its connection broke.
  ///
  /// A change may be done although its answer was lost, and `body` then does it again at the next
  /// server: a transaction must compare so that the second time fails.
  ///
  /// - Throws: `RegistryError`, `CancellationError`, and `RPCError` for a lease or a revision that
  ///   is no more.
  func call<Output: Sendable>(
    _ body: @Sendable (EtcdConnection, Metadata) async throws -> Output
  ) async throws -> Output {
    var failures: [String] = []
    var isSlow = false
    while failures.count < connections.count || (failures.count == connections.count && !isSlow) {
      let index = state.withLock { $0.current }
      do {
        return try await authenticated(connections[index], connections[index], body)
      } catch let error as RPCError where error.isOfServer {
        try Task.checkCancellation()
        failures.append(failure(error, of: index))
        isSlow = isSlow || error.code == .deadlineExceeded
        leave(index)
      } catch let error as RPCError where error.isOfLease || error.isOfCompaction {
        throw error
      } catch let error as RPCError {
        throw error.registryError(urls)
      }
    }
    throw unreachable(failures.suffix(connections.count))
  }

  /// What `body` does with the current server's connection for a watch, until it fails.
  ///
  /// - Throws: `RegistryError`, `CancellationError`, and what `body` throws of its own.
  func stream(
    _ body: @Sendable (EtcdConnection, Metadata) async throws -> Void
  ) async throws {
    let index = state.withLock { $0.current }
    do {
      try await authenticated(watching[index], connections[index], body)
    } catch let error as RPCError where error.isOfServer {
      try Task.checkCancellation()
      leave(index)
      throw unreachable([failure(error, of: index)])
    } catch let error as RPCError {
      throw error.registryError(urls)
    }
  }

  /// What to say of a server among several, which the whole error names once more where it is the only one.
  private func failure(_ error: RPCError, of index: Int) -> String {
    let text = String(error.serverFailure.reversed().drop { $0 == "." }.reversed())
    return urls.count > 1 ? "\(urls[index]): \(text)" : text
  }

  private func unreachable(_ failures: some Sequence<String>) -> RegistryError {
    .unreachable(endpoints: urls, detail: failures.joined(separator: "; "))
  }

  /// Goes on to the next server, unless another call did.
  private func leave(_ index: Int) {
    state.withLock {
      if $0.current == index { $0.current = (index + 1) % connections.count }
    }
  }

  private func authenticated<Output: Sendable>(
    _ connection: EtcdConnection, _ other: EtcdConnection,
    _ body: @Sendable (EtcdConnection, Metadata) async throws -> Output
  ) async throws -> Output {
    do {
      return try await body(connection, try await metadata(other))
    } catch let error as RPCError where error.isOfToken && user != nil {
      state.withLock { $0.token = nil }
      return try await body(connection, try await metadata(other))
    }
  }

  private func metadata(_ connection: EtcdConnection) async throws -> Metadata {
    // A server that is cut off from the others ends streams then, rather than keeping them silent.
    var metadata: Metadata = ["hasleader": "true"]
    guard let user else { return metadata }
    let known = state.withLock { $0.token }
    if let known {
      metadata.addString(known, forKey: "token")
      return metadata
    }
    var request = Etcdserverpb_AuthenticateRequest()
    request.name = user.name
    request.password = user.password
    let token = try await connection.auth.authenticate(request, options: options).token
    state.withLock { $0.token = token }
    metadata.addString(token, forKey: "token")
    return metadata
  }
}
