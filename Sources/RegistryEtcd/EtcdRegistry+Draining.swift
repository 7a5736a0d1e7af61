import Registry

extension EtcdRegistry {
  /// See `SharedRegistry`.
  public func setDrained(_ isDrained: Bool) async throws {
    try await exclusively { registry in
      let (before, new) = (registry.state.isDrained, isDrained ? true : nil)
      // With a new lease the name is taken with what is remembered.
      let lease = try await registry.establishedLease()
      try registry.save { $0.isDrained = new }
      do { try await registry.takeName(lease: lease) } catch {
        try registry.save { $0.isDrained = before }
        // The others may have heard of it all the same.
        registry.needsReassertion = true
        throw error
      }
    }
    await catchUp()
  }
}
