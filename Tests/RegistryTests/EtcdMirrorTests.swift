import Foundation
import Model
import Registry
import Testing

@testable import RegistryEtcd

@Suite struct EtcdMirrorTests {
  private let keys = KeySpace(cluster: "a/b")

  private func endpoint(
    _ number: InstanceNumber, on runner: String, revision: Int64
  ) throws -> Mvccpb_KeyValue {
    try .with {
      $0.key = keys.key(
        Instance(
          deployment: shop, service: service("app"), serviceNumber: 1, number: number,
          runner: runner))
      $0.value = try RecordCoding.encode(EndpointRecord(serviceNumber: 1))
      $0.createRevision = revision
      $0.modRevision = revision
    }
  }

  private func numbers(_ numbers: InstanceNumbers, revision: Int64) throws -> Mvccpb_KeyValue {
    try .with {
      $0.key = keys.key(.instanceNumbers(shop, 1))
      $0.value = try RecordCoding.encode(numbers)
      $0.modRevision = revision
    }
  }

  private func deletion(of value: Mvccpb_KeyValue, revision: Int64) -> Mvccpb_Event {
    .with {
      $0.type = .delete
      $0.kv.key = value.key
      $0.kv.modRevision = revision
    }
  }

  @Test func `a service's record is the one of before but for a timeout that is its own`() throws {
    let before = Data(#"{"egress":[],"number":1,"port":81,"private":false,"v":1}"#.utf8)
    let plain = Service(
      deployment: shop, name: service("app"), number: 1, port: try PortNumber(81))
    #expect(try RecordCoding.encode(ServiceRecord(plain)) == before)
    let read: ServiceRecord = try RecordCoding.decode(from: before)
    #expect(read.service(plain.name, of: shop) == plain)
    let patient = Service(
      deployment: shop, name: service("app"), number: 1, port: try PortNumber(81),
      timeout: RequestTimeout(seconds: 90))
    let record = try RecordCoding.encode(ServiceRecord(patient))
    #expect(String(decoding: record, as: UTF8.self).contains(#""timeout":90"#))
    let again: ServiceRecord = try RecordCoding.decode(from: record)
    #expect(again.service(plain.name, of: shop) == patient)
    #expect(throws: UnreadableRecord.self) {
      let bad = #"{"egress":[],"number":1,"port":81,"private":false,"timeout":0,"v":1}"#
      let _: ServiceRecord = try RecordCoding.decode(from: Data(bad.utf8))
    }
  }

  @Test func `a key leads back to what it is the key of`() throws {
    let subjects: [KeySpace.Subject] = [
      .runner("a/%2F\u{0}\u{7f}ü\u{308}"),
      .endpoint(runner: "/", deployment: shop, service: service("数-a.b_c"), 254),
      .service(shop, service("ä")), .serviceNumbers(shop), .instanceNumbers(shop, 510),
    ]
    for subject in subjects { #expect(keys.subject(of: keys.key(subject)) == subject) }
    #expect(keys.prefix == "/istbpf/v1/a%2Fb/")
    for key in [
      "", "runners/", "runners/a/b", "endpoints/r/shop/app/1", "endpoints/r/shop/app/x",
      "endpoints/r/sh op/app/2", "allocations/shop/instances/511", "services/shop", "runners/%2",
      "runners/%+1", "runners/%ff",
    ] { #expect(keys.subject(of: Data((keys.prefix + key).utf8)) == nil, "\(key)") }
    #expect(keys.subject(of: Data("/istbpf/v1/a/runners/x".utf8)) == nil)
    #expect(keys.endpoints(of: "r1").end == Data("/istbpf/v1/a%2Fb/endpoints/r10".utf8))
  }

  @Test func `up to half may vanish at once and more is held`() throws {
    var mirror = Mirror(keys: keys, runner: "me")
    let values = try (2...5).map { try endpoint($0, on: "r\($0)", revision: Int64($0)) }
    mirror.absorb(Listing(revision: 9, values: values))
    mirror.absorb(values[..<2].map { deletion(of: $0, revision: 10) }, revision: 10)
    #expect(mirror.instances.count == 2 && mirror.heldLoss == nil)
    mirror.absorb(Listing(revision: 11, values: []))
    #expect(mirror.instances.count == 2)
    #expect(mirror.heldLoss == HeldLoss(missing: 2, total: 2))
    // One is back; the other one's number was given back, so it ended.
    var numbers = InstanceNumbers()
    numbers.released = [4]
    mirror.absorb(
      try [endpoint(5, on: "r5", revision: 12), self.numbers(numbers, revision: 12)].map { value in
        .with { $0.kv = value }
      }, revision: 12)
    #expect(mirror.instances.map(\.number) == [5] && mirror.heldLoss == nil)
  }

  @Test func `what was known already is not taken in again`() throws {
    var mirror = Mirror(keys: keys, runner: "me")
    let value = try endpoint(2, on: "r2", revision: 5)
    mirror.absorb(Listing(revision: 9, values: [value]))
    mirror.absorb([deletion(of: value, revision: 4)], revision: 4)
    #expect(mirror.instances.count == 1 && mirror.revision == 9)
  }

  @Test func `of two runners that claim an address the one that the numbers name has it`() throws {
    var mirror = Mirror(keys: keys, runner: "me")
    let claims = try [
      endpoint(2, on: "r1", revision: 7), endpoint(2, on: "r2", revision: 6),
    ]
    mirror.absorb(Listing(revision: 9, values: claims))
    #expect(mirror.instances.map(\.runner) == ["r2"])
    var numbers = InstanceNumbers()
    numbers.take(2, .init(runner: "r1", token: "t"))
    mirror.absorb(
      Listing(revision: 9, values: claims + [try self.numbers(numbers, revision: 8)]))
    #expect(mirror.instances.map(\.runner) == ["r1"])
  }

  @Test func `an id rests as long as others are free and comes back with its name`() throws {
    var ids = DeploymentIDs()
    ids.keep([shop, other])
    let before = (try ids.id(of: shop), try ids.id(of: other))
    ids.keep([other])
    #expect(try ids.id(of: name("new")) == 3)
    ids.keep([other, shop])
    #expect(try (ids.id(of: shop), ids.id(of: other)) == before)
    for index in 4...16384 { _ = try ids.id(of: name("d\(index)")) }
    #expect(throws: RegistryError.tooManyDeployments(name("more"))) { try ids.id(of: name("more")) }
  }
}
