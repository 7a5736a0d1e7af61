import Foundation
import Model
import Registry

extension EtcdRegistry {
  /// See `SharedRegistry`.
  @discardableResult
  public func forgetRunner(_ name: String) async throws -> Int {
    let count = try await exclusively { registry in
      let runnerKey = registry.keys.key(.runner(name))
      if let value = try await registry.client.get(runnerKey).value {
        let record: RunnerRecord = try registry.decode(value)
        throw RegistryError.runnerIsThere(name, address: record.address)
      }
      var count = 0
      for key in try await registry.client.list(registry.keys.allocations).values.map(\.key) {
        guard case .instanceNumbers = registry.keys.subject(of: key) else { continue }
        count += try await registry.retrying("runner \(quoted(name))") { registry in
          let (found, revision) = try await registry.read(InstanceNumbers.self, key)
          guard var numbers = found else { return 0 }
          let gone = numbers.numbers(of: name)
          if gone.isEmpty { return 0 }
          for number in gone { numbers.release(number, of: name) }
          var transaction = Transaction()
          transaction.expect(runnerKey, createdAt: 0)
          transaction.expect(key, changedAt: revision)
          transaction.put(key, try RecordCoding.encode(numbers))
          try await registry.commit(transaction)
          return gone.count
        }
      }
      return count
    }
    await catchUp()
    return count
  }
}
