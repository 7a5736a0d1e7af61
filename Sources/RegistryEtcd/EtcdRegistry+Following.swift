import Foundation
import GRPCCore
import Model
import Registry

extension EtcdRegistry {
  /// Lists everything and takes it in.
  ///
  /// While a watch is up, it may have told more than the listing already, which is then left out.
  func refresh(isWatching: Bool = false) async throws {
    do {
      let listing = try await client.list(keys.all)
      if !isWatching || listing.revision >= mirror.revision {
        // A store that went back has never heard of what was written to it.
        if listing.revision < mirror.revision { lastWritten = 0 }
        mirror.absorb(listing)
      }
    } catch let error as RPCError {
      throw error.registryError(client.urls)
    }
    for (key, detail) in mirror.content.unreadable {
      logger.error("passed over \(quoted(String(decoding: key, as: UTF8.self))): \(detail)")
    }
    changed()
  }

  /// Follows what happens in etcd until the task ends.
  static func follow(_ registry: WeakRegistry) async {
    var delay: Duration?
    while !Task.isCancelled {
      guard let registry = registry.value else { return }
      let begun = ContinuousClock.now
      await registry.followOnce()
      let range = registry.configuration.retryDelay
      let lasted = ContinuousClock.now - begun
      delay =
        lasted > range.upperBound
        ? range.lowerBound : min((delay ?? range.lowerBound / 2) * 2, range.upperBound)
      try? await Task.sleep(for: delay ?? range.lowerBound)
    }
  }

  /// Watches from where it stands, or lists first where there is nothing to stand on; returns when
  /// that failed.
  private func followOnce() async {
    do {
      if mirror.revision == 0 { try await refresh() }
      try await client.watch(keys.all, from: mirror.revision + 1) { [weak self] event in
        try await self?.take(event)
      }
    } catch is WatchIsBehind {
      logger.info("the watch is behind etcd's history: listing again")
      await relist()
    } catch is CancellationError {
    } catch {
      guard !isClosed, !Task.isCancelled else { return }
      condition.isCurrent = false
      report(error as? RegistryError ?? .unavailable(file: "etcd", detail: "\(error)"))
    }
  }

  private func relist() async {
    do { try await refresh() } catch {
      condition.isCurrent = false
      report(error as? RegistryError ?? .unavailable(file: "etcd", detail: "\(error)"))
    }
  }

  private func take(_ event: WatchEvent) throws {
    switch event {
    case .started(let revision):
      // A store that is behind what was seen is another one: restored from a backup, or made anew.
      guard revision >= mirror.revision else { throw WatchIsBehind() }
      condition.isCurrent = true
      if lease != nil { report(nil) }
      publish()
    case .changed(let events, let revision):
      mirror.absorb(events, revision: revision)
      changed()
    }
  }

  /// After the mirror changed.
  private func changed() {
    let before = condition.heldLoss
    publish()
    settleReturned()
    if let loss = condition.heldLoss {
      if before == nil { logger.error("\(loss)") }
      confirmLater()
    }
    reassertIfNeeded()
  }

  /// Has a second listing confirm a loss, after a while, in which the others put their keys again.
  private func confirmLater() {
    guard !isConfirming else { return }
    isConfirming = true
    confirmation = Task { [weak self, delay = configuration.lossConfirmation] in
      try? await Task.sleep(for: delay)
      await self?.confirmNow()
    }
  }

  private func confirmNow() async {
    isConfirming = false
    guard !isClosed, !Task.isCancelled, mirror.heldLoss != nil else { return }
    do {
      try await refresh(isWatching: true)
      if let loss = mirror.heldLoss { logger.warning("confirmed by a second listing: \(loss)") }
      mirror.acceptLoss()
      publish()
    } catch {
      // etcd is away: then nothing is confirmed.
      confirmLater()
    }
  }

  /// Writes the cache now and then, when there is something new.
  static func keepCache(_ registry: WeakRegistry) async {
    while !Task.isCancelled {
      try? await Task.sleep(for: .milliseconds(500))
      guard let registry = registry.value else { return }
      await registry.saveCache()
    }
  }

  func saveCache() {
    guard isCacheStale, mirror.revision > 0 else { return }
    isCacheStale = false
    do {
      try files.cache.save(
        CachedState(
          cluster: configuration.cluster, services: view.services, instances: view.instances,
          runners: view.runners))
    } catch {
      isCacheStale = true
      report(error as? RegistryError)
    }
  }
}
