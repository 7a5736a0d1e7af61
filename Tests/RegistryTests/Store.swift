import Registry

/// The stores that the same scenarios run over.
enum Store: CaseIterable, Sendable {
  case sqlite, etcd

  /// Hands a registry of the runner r1 to `body`, which has to behave alike in every store.
  func withRegistry(_ body: (any SharedRegistry) async throws -> Void) async throws {
    switch self {
    case .sqlite:
      let files = try TemporaryRegistry()
      try await body(files.open())
    case .etcd:
      let server = try await EtcdServer()
      let registry = try await server.open()
      do { try await body(registry) } catch {
        await registry.close()
        throw error
      }
      await registry.close()
    }
  }
}
