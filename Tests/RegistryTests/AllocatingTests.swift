import Model
import Registry
import RegistrySQLite
import Testing

@Suite struct AllocatingTests {
  private func declare(_ registry: any Registry) async throws {
    _ = try await registry.declare(declarations("app", "db"), in: shop, replace: false)
  }

  private func allocate(_ registry: any Registry, _ text: String = "app") async throws -> Instance {
    try await registry.allocateInstance(of: service(text), in: shop, runner: "r1")
  }

  @Test(arguments: Store.allCases) func `instances are numbered from 2 within their service`(
    store: Store
  ) async throws {
    try await store.withRegistry { registry in
      try await declare(registry)
      let first = try await allocate(registry)
      #expect(
        first
          == Instance(
            deployment: shop, service: service("app"), serviceNumber: 1, number: 2, runner: "r1"))
      #expect(try await allocate(registry).number == 3)
      #expect(try await allocate(registry, "db").number == 2)
      #expect(
        try await registry.instances(of: shop).map(\.id) == [
          "shop/app.2", "shop/app.3", "shop/db.2",
        ])
      #expect(try await registry.instances().count == 3)
    }
  }

  @Test(arguments: Store.allCases)
  func `the 254th instance is refused and a released number makes room`(store: Store) async throws {
    try await store.withRegistry { registry in
      try await declare(registry)
      var all: [Instance] = []
      for _ in 0..<253 { all.append(try await allocate(registry)) }
      #expect(Set(all.map(\.number)) == Set(2...254))
      let error = await #expect(throws: RegistryError.self) { try await allocate(registry) }
      #expect(error == .tooManyInstances(deployment: shop, service: service("app")))
      #expect(error?.description.contains("253 instances") == true)
      #expect(try await allocate(registry, "db").number == 2)
      // The number that was released longest ago comes back first.
      for index in [100, 50, 200] {
        #expect(try await registry.releaseInstance(all[index]))
      }
      #expect(try await allocate(registry).number == all[100].number)
      #expect(try await allocate(registry).number == all[50].number)
      #expect(try await allocate(registry).number == all[200].number)
      await #expect(throws: RegistryError.self) { try await allocate(registry) }
    }
  }

  @Test(arguments: Store.allCases) func `a released number rests while others were never used`(
    store: Store
  ) async throws {
    try await store.withRegistry { registry in
      try await declare(registry)
      let first = try await allocate(registry)
      try await registry.releaseInstance(first)
      #expect(try await allocate(registry).number == 3)
      #expect(try await registry.instances(of: shop).map(\.number) == [3])
    }
  }

  @Test(arguments: Store.allCases) func `a second release ends nobody else's instance`(store: Store)
    async throws
  {
    try await store.withRegistry { registry in
      try await declare(registry)
      let first = try await allocate(registry)
      #expect(try await registry.releaseInstance(first))
      #expect(try await registry.releaseInstance(first) == false)
      let elsewhere = Instance(
        deployment: shop, service: service("app"), serviceNumber: 1, number: 3, runner: "r2")
      let second = try await allocate(registry)
      #expect(second.number == 3)
      #expect(try await registry.releaseInstance(elsewhere) == false)
      #expect(try await registry.instances(of: shop) == [second])
    }
  }

  @Test(arguments: Store.allCases)
  func `a service's removal does not forget which instance numbers rest`(store: Store) async throws
  {
    try await store.withRegistry { registry in
      try await declare(registry)
      try await registry.releaseInstance(try await allocate(registry))
      _ = try await registry.declare(declarations("db"), in: shop, replace: true)
      _ = try await registry.declare(declarations("app"), in: shop, replace: false)
      #expect(try await allocate(registry).number == 3)
    }
  }

  @Test func `allocations at the same time give numbers of their own`() async throws {
    let files = try TemporaryRegistry()
    let registry = try files.open()
    try await declare(registry)
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
