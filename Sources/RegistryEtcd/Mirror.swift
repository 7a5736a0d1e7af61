import Foundation
import Model
import Registry

/// What etcd has, as far as this runner was told, and what of it is shown: pure.
///
/// The two differ where things vanished that are kept: `Mirror+Loss.swift`.
struct Mirror {
  /// Keys as decoded, at `revision`.
  struct Content: Hashable {
    var runners: [Data: ClusterRunner] = [:]
    var services: [Data: Service] = [:]
    var endpoints: [Data: Endpoint] = [:]
    var numbers: [Data: InstanceNumbers] = [:]
    /// Keys that could not be read, with why. They are passed over.
    var unreadable: [Data: String] = [:]
  }

  struct Endpoint: Hashable {
    var instance: Instance
    var createRevision: Int64
  }

  let keys: KeySpace
  let runner: String

  /// The revision up to which everything is known; 0 if nothing is, or only from the cache.
  private(set) var revision: Int64 = 0

  /// What etcd has.
  private(set) var content = Content()

  /// What is shown of others.
  var shown = Content()

  /// Endpoints that are shown although they vanished.
  var held: Set<Data> = []

  /// Endpoints that are shown although their runner's lease ended: that says that its istbpfd is not well, and nothing
  /// of its instances.
  var stale: Set<Data> = []
  /// Whether there are any: whoever wants them says which runners are gone.
  let keepsStale: Bool

  /// This runner's instances, of which this runner knows best.
  var own: [Data: Instance] = [:] {
    didSet { if own != oldValue { show() } }
  }

  init(keys: KeySpace, runner: String, keepsStale: Bool = false) {
    self.keys = keys
    self.runner = runner
    self.keepsStale = keepsStale
  }

  /// Begins with what was known before.
  mutating func restore(_ cache: CachedState) {
    for service in cache.services {
      content.services[keys.key(.service(service.deployment, service.name))] = service
    }
    for runner in cache.runners { content.runners[keys.key(.runner(runner.name))] = runner }
    for instance in cache.instances {
      content.endpoints[keys.key(instance)] = Endpoint(instance: instance, createRevision: 0)
    }
    shown = content
  }

  /// Takes a whole listing in; what it does not have has vanished.
  mutating func absorb(_ listing: Listing) {
    var new = Content()
    for value in listing.values { set(value, in: &new) }
    revision = listing.revision
    replace(with: new)
  }

  /// Takes in what happened up to `revision`. Events that were known by then are passed over.
  mutating func absorb(_ events: [Mvccpb_Event], revision: Int64) {
    var new = content
    for event in events where event.kv.modRevision > self.revision {
      switch event.type {
      case .delete: remove(event.kv.key, from: &new)
      default: set(event.kv, in: &new)
      }
    }
    self.revision = max(self.revision, revision)
    replace(with: new)
  }

  private mutating func replace(with new: Content) {
    let old = content
    content = new
    updateLoss(from: old)
  }

  private func set(_ value: Mvccpb_KeyValue, in content: inout Content) {
    let key = value.key
    remove(key, from: &content)
    do {
      switch keys.subject(of: key) {
      case .runner(let name):
        let record: RunnerRecord = try RecordCoding.decode(from: value.value)
        content.runners[key] = ClusterRunner(
          name: name, address: record.address, version: record.version,
          isDrained: record.isDrained ?? false)
      case .service(let deployment, let name):
        let record: ServiceRecord = try RecordCoding.decode(from: value.value)
        guard AddressPlan.serviceNumbers.contains(record.number) else {
          throw UnreadableRecord(detail: "there is no service number \(record.number)")
        }
        content.services[key] = record.service(name, of: deployment)
      case .endpoint(let runner, let deployment, let service, let number):
        let record: EndpointRecord = try RecordCoding.decode(from: value.value)
        guard AddressPlan.serviceNumbers.contains(record.serviceNumber) else {
          throw UnreadableRecord(detail: "there is no service number \(record.serviceNumber)")
        }
        content.endpoints[key] = Endpoint(
          instance: Instance(
            deployment: deployment, service: service, serviceNumber: record.serviceNumber,
            number: number, runner: runner), createRevision: value.createRevision)
      case .instanceNumbers:
        content.numbers[key] = try RecordCoding.decode(from: value.value)
      case .serviceNumbers: break
      case nil: throw UnreadableRecord(detail: "no such key is known")
      }
    } catch {
      content.unreadable[key] = (error as? UnreadableRecord)?.detail ?? "\(error)"
    }
  }

  private func remove(_ key: Data, from content: inout Content) {
    content.runners[key] = nil
    content.services[key] = nil
    content.endpoints[key] = nil
    content.numbers[key] = nil
    content.unreadable[key] = nil
  }

  /// Whether a key of this runner's is missing that its lease should keep.
  var lacksOwn: Bool {
    content.runners[keys.key(.runner(runner))] == nil
      || own.keys.contains { content.endpoints[$0] == nil }
  }
}
