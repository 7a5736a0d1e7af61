import Foundation
import Model
import Synchronization
import TestSupport
import Testing

@testable import NameResolution

@Suite("Names that are followed", .timeLimit(.minutes(3))) struct NameFollowerTests {
  /// A follower with a resolver of the test's own.
  private func stage(
    _ laboratory: NamespaceLaboratory, limits: NameLimits = NameLimits(),
    refused: Set<String> = [], _ handler: @escaping NameFollower.Handler = { _ in }
  ) throws -> (resolver: TestResolver, follower: NameFollower) {
    let resolver = try TestResolver(laboratory)
    let follower = try NameFollower(resolvConf: resolver.configuration, limits: limits) {
      refused.contains("\($0)") ? "refused" : nil
    }
    laboratory.atEnd { follower.stop() }
    follower.start(handler)
    return (resolver, follower)
  }

  private func eventually(within seconds: Double = 5, _ condition: () throws -> Bool) rethrows
    -> Bool
  {
    let deadline = Date() + seconds * Double(slowness)
    while Date() < deadline {
      if try condition() { return true }
      usleep(10_000)
    }
    return try condition()
  }

  private func names(_ texts: [String]) throws -> [HostName] { try texts.map { try HostName($0) } }

  @Test("What a resolver may say comes to what it should")
  func answers() throws {
    try NamespaceLaboratory.with { laboratory in
      let (resolver, follower) = try stage(laboratory, refused: ["169.254.169.254"])
      let hundred = (1...100).map { "192.0.2.\($0)" }
      try resolver.say([
        "plain.example.com": .addresses(["192.0.2.1", "192.0.2.2"], ttl: 77),
        "many.example.com": .addresses(hundred, ttl: 9),
        "inward.example.com": .addresses(["169.254.169.254"]),
        "mixed.example.com": .addresses(["192.0.2.7", "169.254.169.254"]),
        "nothing.example.com": .mode("nothing"), "missing.example.com": .mode("missing"),
        "failing.example.com": .mode("failing"), "refused.example.com": .mode("refused"),
        "short.example.com": .mode("short"),
      ])
      let all = try names(
        ["plain", "many", "inward", "mixed", "nothing", "missing", "failing", "refused", "short"]
          .map { "\($0).example.com" })
      follower.follow(Set(all))
      #expect(
        eventually(within: 20) { all.allSatisfy { follower.record(of: $0)?.isLookedUp == true } })
      let records = all.compactMap { follower.record(of: $0) }
      #expect(records[0].addresses.map(\.description) == ["192.0.2.1", "192.0.2.2"])
      #expect(records[0].validUntil - (records[0].answered ?? 0) == 77)
      #expect(records[1].addresses.map(\.description) == Array(hundred.prefix(32)), "over TCP")
      #expect(records[1].surplus == 68)
      #expect(records[2].addresses.isEmpty && records[2].refused.count == 1)
      #expect(records[3].addresses.map(\.description) == ["192.0.2.7"])
      #expect(records[4].problem == "the name has no IPv4 address")
      #expect(records[5].problem == "there is no such name (NXDOMAIN)")
      for record in records[6...] {
        #expect(record.problem != nil && record.addresses.isEmpty && record.answered == nil)
      }
      follower.follow([])
      #expect(follower.records.isEmpty)
    }
  }

  @Test("A change of the records is taken over, and told once")
  func change() throws {
    try NamespaceLaboratory.with { laboratory in
      let told = Atomic(0)
      let (resolver, follower) = try stage(laboratory) { _ in told.add(1, ordering: .relaxed) }
      let name = try HostName("a.example.com")
      try resolver.say("a.example.com", .addresses(["192.0.2.1"], ttl: 1))
      follower.follow([name])
      #expect(eventually { follower.record(of: name)?.addresses.first?.description == "192.0.2.1" })
      try resolver.say("a.example.com", .addresses(["192.0.2.2"], ttl: 1))
      #expect(
        eventually(within: 8) {
          follower.record(of: name)?.addresses.first?.description == "192.0.2.2"
        })
      #expect(told.load(ordering: .relaxed) == 2)
      let asked = try resolver.times("a.example.com")
      #expect(asked <= 3, "a time to live of 1 s is one of 5 s")
    }
  }

  @Test("Another resolv.conf is taken over while the old one's queries wait")
  func configuration() throws {
    try NamespaceLaboratory.with { laboratory in
      let (first, follower) = try stage(laboratory)
      let second = try TestResolver(laboratory)
      try first.say("a.example.com", .mode("silent"))
      try second.say("b.example.com", .addresses(["192.0.2.2"]))
      let (a, b) = (try HostName("a.example.com"), try HostName("b.example.com"))
      follower.follow([a])
      #expect(try eventually { try first.times("a.example.com") > 0 })
      usleep(2_100_000)
      try "nameserver \(second.address)\n".write(
        toFile: first.configuration, atomically: true, encoding: .utf8)
      follower.follow([a, b])
      #expect(eventually { follower.record(of: b)?.addresses.isEmpty == false })
    }
  }

  @Test("Names that the resolver lets wait for 30 s, 1,000 of them, keep no other name waiting")
  func slow() throws {
    try NamespaceLaboratory.with { laboratory in
      let (resolver, follower) = try stage(laboratory)
      let slow = try (0..<1000).map { try HostName("slow\($0).example.com") }
      try resolver.say(
        Dictionary(uniqueKeysWithValues: slow.map { ("\($0)", .mode("silent")) }))
      try resolver.say("quick.example.com", .addresses(["192.0.2.1"]))
      follower.follow(Set(slow))
      #expect(try eventually { try resolver.total() >= 200 })
      let start = Date()
      #expect(follower.records.count == 1000)
      #expect(Date().timeIntervalSince(start) < 0.5 * Double(slowness))
      let quick = try HostName("quick.example.com")
      follower.follow(Set(slow + [quick]))
      #expect(eventually(within: 12) { follower.record(of: quick)?.addresses.isEmpty == false })
    }
  }
}
