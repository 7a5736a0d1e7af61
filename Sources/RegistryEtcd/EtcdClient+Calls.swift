import Foundation
import GRPCCore
import Registry

/// Keys from one up to another, that one not included.
struct KeyRange: Hashable, Sendable {
  let start: Data
  let end: Data

  /// Every key that begins with `prefix`, which ends in `/`.
  init(prefix: Data) {
    start = prefix
    // The octet after "/" is "0": the first key that does not begin so.
    end = prefix.dropLast() + [UInt8(ascii: "0")]
  }
}

/// Every key of a range at one revision.
struct Listing: Sendable {
  let revision: Int64
  let values: [Mvccpb_KeyValue]
}

extension EtcdClient {
  /// The keys of `range`, page by page, all of the same revision.
  func list(_ range: KeyRange) async throws -> Listing {
    var values: [Mvccpb_KeyValue] = []
    var request = Etcdserverpb_RangeRequest()
    request.key = range.start
    request.rangeEnd = range.end
    request.limit = 1000
    while true {
      let response = try await self.range(request)
      if request.revision == 0 { request.revision = response.header.revision }
      values += response.kvs
      guard response.more, let last = response.kvs.last else {
        return Listing(revision: request.revision, values: values)
      }
      request.key = last.key + [0]
    }
  }

  /// One Range.
  func range(_ request: Etcdserverpb_RangeRequest) async throws -> Etcdserverpb_RangeResponse {
    try await call { [options] connection, metadata in
      try await connection.keyValues.range(request, metadata: metadata, options: options)
    }
  }

  /// The key's value now, and the revision at which it was read.
  func get(_ key: Data) async throws -> (value: Mvccpb_KeyValue?, revision: Int64) {
    var request = Etcdserverpb_RangeRequest()
    request.key = key
    let response = try await range(request)
    return (response.kvs.first, response.header.revision)
  }

  /// One transaction; what it does if every comparison holds, and nothing else.
  ///
  /// - Returns: the revision; nil if a comparison failed.
  func commit(_ transaction: Transaction) async throws -> Int64? {
    let request = transaction.request
    let response = try await call { [options] connection, metadata in
      try await connection.keyValues.txn(request, metadata: metadata, options: options)
    }
    return response.succeeded ? response.header.revision : nil
  }

  /// A new lease of at least `seconds`.
  func grantLease(seconds: Int) async throws -> Int64 {
    var request = Etcdserverpb_LeaseGrantRequest()
    request.ttl = Int64(seconds)
    return try await call { [request, options] connection, metadata in
      try await connection.lease.leaseGrant(request, metadata: metadata, options: options)
    }.id
  }

  /// Ends a lease, and with it its keys.
  func revokeLease(_ id: Int64) async throws {
    var request = Etcdserverpb_LeaseRevokeRequest()
    request.id = id
    _ = try await call { [request, options] connection, metadata in
      try await connection.lease.leaseRevoke(request, metadata: metadata, options: options)
    }
  }

  /// Prolongs a lease once.
  ///
  /// One request on a stream of its own, as etcd's own client does for a single one: so it has a
  /// timeout like every call, and goes to the next server like every call.
  ///
  /// - Returns: how many seconds the lease has now; nil if it has ended.
  func keepLease(_ id: Int64) async throws -> Int64? {
    var request = Etcdserverpb_LeaseKeepAliveRequest()
    request.id = id
    let seconds = try await call { [request, options] connection, metadata in
      try await connection.lease.leaseKeepAlive(metadata: metadata, options: options) { writer in
        try await writer.write(request)
      } onResponse: { response in
        for try await message in response.messages { return message.ttl }
        throw RPCError(code: .unavailable, message: "the answer to a keepalive is missing")
      }
    }
    return seconds > 0 ? seconds : nil
  }
}
