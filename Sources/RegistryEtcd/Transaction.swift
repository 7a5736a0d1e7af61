import Foundation

/// Comparisons, and what to do if all of them hold.
struct Transaction: Sendable {
  private var comparisons: [Etcdserverpb_Compare] = []
  private var operations: [Etcdserverpb_RequestOp] = []

  /// Only if `key` was last changed at `revision`; 0 if it must not be there.
  mutating func expect(_ key: Data, changedAt revision: Int64) {
    comparisons.append(
      .with {
        $0.key = key
        $0.target = .mod
        $0.result = .equal
        $0.modRevision = revision
      })
  }

  /// Only if `key` was made at `revision`, whatever changed since; 0 if it must not be there.
  mutating func expect(_ key: Data, createdAt revision: Int64) {
    comparisons.append(
      .with {
        $0.key = key
        $0.target = .create
        $0.result = .equal
        $0.createRevision = revision
      })
  }

  /// Only if no key of `range` was made or changed after `revision`.
  mutating func expect(_ range: KeyRange, unchangedSince revision: Int64) {
    comparisons.append(
      .with {
        $0.key = range.start
        $0.rangeEnd = range.end
        $0.target = .mod
        $0.result = .less
        $0.modRevision = revision + 1
      })
  }

  /// Sets `key`, on a lease or for ever.
  mutating func put(_ key: Data, _ value: Data, lease: Int64 = 0) {
    operations.append(
      .with {
        $0.requestPut.key = key
        $0.requestPut.value = value
        $0.requestPut.lease = lease
      })
  }

  /// Removes `key`, if it is there.
  mutating func delete(_ key: Data) {
    operations.append(.with { $0.requestDeleteRange.key = key })
  }

  /// Removes every key of `range`.
  mutating func delete(_ range: KeyRange) {
    operations.append(
      .with {
        $0.requestDeleteRange.key = range.start
        $0.requestDeleteRange.rangeEnd = range.end
      })
  }

  /// The request. etcd takes 128 operations in one (--max-txn-ops), and as many less the outer one's
  /// in each transaction within it: so more are parted over inner ones, which are done with it.
  var request: Etcdserverpb_TxnRequest {
    .with {
      $0.compare = comparisons
      $0.success =
        operations.count <= Self.most
        ? operations
        : stride(from: 0, to: operations.count, by: Self.most).map { start in
          .with {
            $0.requestTxn.success = Array(operations[start...].prefix(Self.most))
          }
        }
    }
  }

  private static let most = 100
}
