import Model
import Registry
import RegistrySQLite
import Testing

@Suite struct DeclaringTests {
  private func numbers(_ registry: any Registry) async throws -> [String: ServiceNumber] {
    let services = try await registry.services(of: shop)
    return Dictionary(uniqueKeysWithValues: services.map { ($0.name.rawValue, $0.number) })
  }

  @Test(arguments: Store.allCases)
  func `a declared service is found again with everything that was said of it`(store: Store)
    async throws
  {
    try await store.withRegistry { registry in
      let declaration = try ServiceDeclaration(
        name: service("ä-1"), port: PortNumber(3211), isPrivate: true,
        egress: [
          EgressRule("10.0.0.0/8:443"), EgressRule("0.0.0.0/0:*"),
          EgressRule("api.example.com:443"), EgressRule("bücher.example:*"),
        ],
        timeout: RequestTimeout(seconds: 86_400))
      let outcome = try await registry.declare([declaration], in: shop, replace: false)
      let expected = Service(
        deployment: shop, name: declaration.name, number: 1, port: declaration.port,
        isPrivate: true,
        egress: declaration.egress, timeout: declaration.timeout)
      #expect(expected.timeout?.seconds == 86_400)
      #expect(outcome.services == [expected])
      #expect(outcome.added == [declaration.name])
      #expect(outcome.deployment == Deployment(name: shop, id: 1))
      #expect(try await registry.services(of: shop) == [expected])
      #expect(try await registry.service(declaration.name, of: shop) == expected)
      #expect(try await registry.deployment(named: shop).id == 1)
    }
  }

  @Test(arguments: Store.allCases) func `declaring again keeps the number and takes the new port`(
    store: Store
  ) async throws {
    try await store.withRegistry { registry in
      _ = try await registry.declare(declarations("db", "app"), in: shop, replace: false)
      let changed = try ServiceDeclaration(name: service("app"), port: PortNumber(81))
      let outcome = try await registry.declare([changed], in: shop, replace: false)
      #expect(outcome.changed == [changed.name])
      #expect(outcome.added.isEmpty && outcome.removed.isEmpty)
      #expect(try await numbers(registry) == ["db": 1, "app": 2])
      #expect(try await registry.service(changed.name, of: shop).port == changed.port)
      let same = try await registry.declare([changed], in: shop, replace: false)
      #expect(same.changed.isEmpty)
      let patient = ServiceDeclaration(
        name: changed.name, port: changed.port, timeout: RequestTimeout(seconds: 90))
      for (declaration, timeout) in [(patient, 90), (changed, nil)] {
        let outcome = try await registry.declare([declaration], in: shop, replace: false)
        #expect(outcome.changed == [changed.name])
        #expect(try await registry.service(changed.name, of: shop).timeout?.seconds == timeout)
      }
    }
  }

  @Test(arguments: Store.allCases) func `replacing removes what is not named and its number rests`(
    store: Store
  ) async throws {
    try await store.withRegistry { registry in
      _ = try await registry.declare(declarations("a", "b", "c"), in: shop, replace: false)
      let outcome = try await registry.declare(declarations("a", "d"), in: shop, replace: true)
      #expect(outcome.removed.map(\.name.rawValue) == ["b", "c"])
      #expect(try await numbers(registry) == ["a": 1, "d": 4])
      // The name has its address for the deployment's life.
      _ = try await registry.declare(declarations("new", "c"), in: shop, replace: false)
      #expect(try await numbers(registry) == ["a": 1, "c": 3, "d": 4, "new": 5])
    }
  }

  @Test(arguments: Store.allCases)
  func `a service that runs is not removed and nothing else is changed`(store: Store) async throws {
    try await store.withRegistry { registry in
      _ = try await registry.declare(declarations("app", "db"), in: shop, replace: false)
      let instance = try await registry.allocateInstance(of: service("db"), in: shop, runner: "r1")
      let error = await #expect(throws: RegistryError.self) {
        try await registry.declare(declarations("app", "new"), in: shop, replace: true)
      }
      #expect(error == .serviceHasInstances([instance]))
      #expect(error?.description.contains("shop/db.2") == true)
      #expect(try await numbers(registry) == ["app": 1, "db": 2])
    }
  }

  @Test(arguments: Store.allCases) func `a deployment without services disappears and its id rests`(
    store: Store
  ) async throws {
    try await store.withRegistry { registry in
      _ = try await registry.declare(declarations("app"), in: shop, replace: false)
      let outcome = try await registry.declare([], in: shop, replace: true)
      #expect(outcome.deployment == nil)
      #expect(outcome.removed.count == 1)
      #expect(try await registry.deployments().isEmpty)
      let next = try await registry.declare(declarations("app"), in: other, replace: false)
      #expect(next.deployment?.id == 2)
    }
  }

  @Test(arguments: Store.allCases)
  func `a deployment that is not declared is named with the nearest`(store: Store) async throws {
    try await store.withRegistry { registry in
      let none = await #expect(throws: RegistryError.undeclaredDeployment(shop, known: [])) {
        try await registry.services(of: shop)
      }
      #expect(none?.description.contains("istbpf deploy") == true)
      _ = try await registry.declare(declarations("app"), in: shop, replace: false)
      let error = await #expect(throws: RegistryError.self) {
        try await registry.instances(of: name("shpo"))
      }
      #expect(error?.description.contains(#"did you mean "shop"?"#) == true)
      for replace in [false, true] {
        await #expect(throws: RegistryError.undeclaredDeployment(other, known: [shop])) {
          try await registry.declare([], in: other, replace: replace)
        }
      }
    }
  }

  @Test(arguments: Store.allCases) func `a service that is not declared is named with the nearest`(
    store: Store
  ) async throws {
    try await store.withRegistry { registry in
      _ = try await registry.declare(declarations("app", "db"), in: shop, replace: false)
      let error = await #expect(throws: RegistryError.self) {
        try await registry.allocateInstance(of: service("App"), in: shop, runner: "r1")
      }
      #expect(
        error
          == .undeclaredService(
            service("App"), deployment: shop, known: [service("app"), service("db")]))
      #expect(error?.description.contains(#"did you mean "app"?"#) == true)
    }
  }

  @Test(
    arguments: Store.allCases,
    [("a_b", "a-b"), ("app", "App"), ("ä", "a\u{308}"), ("ä", "ö"), ("app", "app")])
  func `services that collide are refused together and one after the other`(
    store: Store, names: (String, String)
  ) async throws {
    let (first, second) = names
    try await store.withRegistry { registry in
      await #expect(throws: RegistryError.self) {
        try await registry.declare(declarations(first, second), in: shop, replace: false)
      }
      #expect(try await registry.deployments().isEmpty)
      if first == second { return }
      _ = try await registry.declare(declarations(first), in: shop, replace: false)
      let error = await #expect(throws: RegistryError.self) {
        try await registry.declare(declarations(second), in: shop, replace: false)
      }
      guard case .nameCollision(let collision, shop) = error else {
        Issue.record("\(String(describing: error))")
        return
      }
      #expect(collision.first == service(first) && collision.second == service(second))
      // In another deployment, or in the place of the first, the second is welcome.
      _ = try await registry.declare(declarations(second), in: other, replace: false)
      _ = try await registry.declare(declarations(second), in: shop, replace: true)
      #expect(try await registry.services(of: shop).map(\.name) == [service(second)])
    }
  }

  @Test(arguments: Store.allCases) func `the 511th service is refused and the 510 stay`(
    store: Store
  ) async throws {
    try await store.withRegistry { registry in
      let most = (1...510).map { ServiceDeclaration(name: service("s\($0)")) }
      let outcome = try await registry.declare(most, in: shop, replace: false)
      #expect(outcome.services.map(\.number) == Array(1...510))
      let error = await #expect(throws: RegistryError.tooManyServices(deployment: shop, count: 511))
      {
        try await registry.declare(declarations("one-more"), in: shop, replace: false)
      }
      #expect(error?.description.contains("510 is the most") == true)
      #expect(try await registry.services(of: shop).count == 510)
      // When every number was used, the one that rests longest comes first, but not from its own name.
      _ = try await registry.declare(
        most.filter { $0.name.rawValue != "s7" }, in: shop, replace: true)
      let rest = most.filter { !["s7", "s3"].contains($0.name.rawValue) }
      _ = try await registry.declare(rest, in: shop, replace: true)
      _ = try await registry.declare(declarations("new", "s7"), in: shop, replace: false)
      let numbers = try await numbers(registry)
      #expect(numbers["s7"] == 7)
      #expect(numbers["new"] == 3)
    }
  }

  @Test(arguments: Store.allCases) func `deployments are listed by name and keep their ids`(
    store: Store
  ) async throws {
    try await store.withRegistry { registry in
      _ = try await registry.declare(declarations("app"), in: shop, replace: false)
      _ = try await registry.declare(declarations("app"), in: other, replace: false)
      #expect(
        try await registry.deployments() == [
          Deployment(name: other, id: 2), Deployment(name: shop, id: 1),
        ])
    }
  }

  @Test func `a runner with 16383 deployments takes no more and then the id that rests longest`()
    async throws
  {
    let files = try TemporaryRegistry()
    let registry = try files.open()
    _ = try await registry.declare(declarations("app"), in: shop, replace: false)
    try files.execute(
      """
      WITH RECURSIVE ids(id) AS (SELECT 2 UNION ALL SELECT id + 1 FROM ids WHERE id < 16383)
      INSERT INTO deployments (id, name) SELECT id, 'd' || id FROM ids
      """)
    await #expect(throws: RegistryError.tooManyDeployments(other)) {
      try await registry.declare(declarations("app"), in: other, replace: false)
    }
    for name in ["d9", "d4"] { _ = try await registry.declare([], in: .init(name), replace: true) }
    let outcome = try await registry.declare(declarations("app"), in: other, replace: false)
    #expect(outcome.deployment?.id == 9)
  }
}
