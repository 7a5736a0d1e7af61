import Model
import Registry
import RegistrySQLite
import Testing

@Suite struct AllocatingTests {
  private let files: TemporaryRegistry
  private let registry: SQLiteRegistry

  init() async throws {
    files = try TemporaryRegistry()
    registry = try files.open()
    _ = try await registry.declare(declarations("app", "db"), in: shop, replace: false)
  }

  private func allocate(_ text: String = "app") async throws -> Instance {
    try await registry.allocateInstance(of: service(text), in: shop, runner: "r1")
  }

  @Test func `instances are numbered from 2 within their service`() async throws {
    let first = try await allocate()
    #expect(
      first
        == Instance(
          deployment: shop, service: service("app"), serviceNumber: 1, number: 2, runner: "r1"))
    #expect(try await allocate().number == 3)
    #expect(try await allocate("db").number == 2)
    #expect(
      try await registry.instances(of: shop).map(\.id) == ["shop/app.2", "shop/app.3", "shop/db.2"])
    #expect(try await registry.instances().count == 3)
  }

  @Test func `the 254th instance is refused and a released number makes room`() async throws {
    var all: [Instance] = []
    for _ in 0..<253 { all.append(try await allocate()) }
    #expect(Set(all.map(\.number)) == Set(2...254))
    let error = await #expect(throws: RegistryError.self) { try await allocate() }
    #expect(error == .tooManyInstances(deployment: shop, service: service("app")))
    #expect(error?.description.contains("253 instances") == true)
    #expect(try await allocate("db").number == 2)
    // The number that was released longest ago comes back first.
    for index in [100, 50, 200] {
      #expect(try await registry.releaseInstance(all[index]))
    }
    #expect(try await allocate().number == all[100].number)
    #expect(try await allocate().number == all[50].number)
    #expect(try await allocate().number == all[200].number)
    await #expect(throws: RegistryError.self) { try await allocate() }
  }

  @Test func `a released number rests while others were never used`() async throws {
    let first = try await allocate()
    try await registry.releaseInstance(first)
    #expect(try await allocate().number == 3)
    #expect(try await registry.instances(of: shop).map(\.number) == [3])
  }

  @Test func `a second release ends nobody else's instance`() async throws {
    let first = try await allocate()
    #expect(try await registry.releaseInstance(first))
    #expect(try await registry.releaseInstance(first) == false)
    let elsewhere = Instance(
      deployment: shop, service: service("app"), serviceNumber: 1, number: 3, runner: "r2")
    let second = try await allocate()
    #expect(second.number == 3)
    #expect(try await registry.releaseInstance(elsewhere) == false)
    #expect(try await registry.instances(of: shop) == [second])
  }

  @Test func `a service's removal does not forget which instance numbers rest`() async throws {
    try await registry.releaseInstance(try await allocate())
    _ = try await registry.declare(declarations("db"), in: shop, replace: true)
    _ = try await registry.declare(declarations("app"), in: shop, replace: false)
    #expect(try await allocate().number == 3)
  }

  @Test func `allocations at the same time give numbers of their own`() async throws {
    // Two connections, as of two processes, so that the file's lock decides and not our queue.
    let second = try files.open()
    let registries = [registry, second]
    let instances = try await withThrowingTaskGroup(of: Instance.self) { group in
      for index in 0..<100 {
        group.addTask {
          try await registries[index % 2].allocateInstance(
            of: service("app"), in: shop, runner: "r\(index)")
        }
      }
      return try await group.reduce(into: []) { $0.append($1) }
    }
    #expect(Set(instances.map(\.number)) == Set(2...101))
    #expect(Set(try await registry.instances(of: shop)) == Set(instances))
  }
}
