import Foundation
import Model
import Registry
import RegistryEtcd
import Testing

@Suite(.serialized) struct EtcdSharingTests {
  @Test func `two runners that allocate at the same time get numbers of their own`() async throws {
    let server = try await EtcdServer()
    let runners = [try await server.open("r1"), try await server.open("r2")]
    _ = try await runners[0].declare(declarations("app"), in: shop, replace: false)
    let instances = try await withThrowingTaskGroup(of: Instance.self) { group in
      for index in 0..<40 {
        let registry = runners[index % 2]
        group.addTask {
          try await registry.allocateInstance(
            of: service("app"), in: shop, runner: registry.configuration.runner)
        }
      }
      return try await group.reduce(into: []) { $0.append($1) }
    }
    #expect(Set(instances.map(\.number)) == Set(2...41))
    for registry in runners {
      #expect(try await eventually { Set(try await registry.instances()) == Set(instances) })
      await registry.close()
    }
  }

  @Test func `two runners that declare at the same time number every service once`() async throws {
    let server = try await EtcdServer()
    let runners = [try await server.open("r1"), try await server.open("r2")]
    try await withThrowingTaskGroup(of: Void.self) { group in
      for index in 0..<20 {
        group.addTask {
          _ = try await runners[index % 2].declare(
            declarations("s\(index)"), in: shop, replace: false)
        }
      }
      try await group.waitForAll()
    }
    for registry in runners {
      #expect(try await eventually { try await registry.services(of: shop).count == 20 })
      #expect(Set(try await registry.services(of: shop).map(\.number)) == Set(1...20))
      await registry.close()
    }
  }

  @Test func `an instance appears and vanishes at the other runner within a second`() async throws {
    let server = try await EtcdServer()
    let (one, two) = (try await server.open("r1"), try await server.open("r2"))
    _ = try await one.declare(declarations("app"), in: shop, replace: false)
    var views = await two.views().makeAsyncIterator()
    func wait(_ condition: (ClusterView) -> Bool) async -> ClusterView? {
      while let view = await views.next() { if condition(view) { return view } }
      return nil
    }
    let clock = ContinuousClock()
    let instance = try await one.allocateInstance(of: service("app"), in: shop, runner: "r1")
    var view: ClusterView?
    var duration = await clock.measure { view = await wait { !$0.instances.isEmpty } }
    #expect(view?.instances == [instance])
    #expect(view?.runners.map(\.name) == ["r1", "r2"])
    #expect(view?.runners.first?.address == "192.0.2.1:7946")
    #expect(duration < .seconds(1))
    #expect(try await one.releaseInstance(instance))
    duration = await clock.measure { view = await wait { $0.instances.isEmpty } }
    // An end in order is believed at once, though it is all the instances that there are.
    #expect(duration < .seconds(1) && view?.condition.heldLoss == nil)
    await one.close()
    await two.close()
  }

  @Test func `a runner may not change another one's instances`() async throws {
    let server = try await EtcdServer()
    let (one, two) = (try await server.open("r1"), try await server.open("r2"))
    _ = try await one.declare(declarations("app"), in: shop, replace: false)
    let instance = try await one.allocateInstance(of: service("app"), in: shop, runner: "r1")
    await #expect(throws: RegistryError.otherRunner(named: "r1", here: "r2")) {
      try await two.allocateInstance(of: service("app"), in: shop, runner: "r1")
    }
    #expect(try await two.releaseInstance(instance) == false)
    // Nor does a service disappear under it.
    let error = await #expect(throws: RegistryError.self) {
      try await two.declare([], in: shop, replace: true)
    }
    #expect(error == .serviceHasInstances([instance]))
    await one.close()
    await two.close()
  }

  @Test func `two runners with one name are refused and a restart is not`() async throws {
    let server = try await EtcdServer()
    let first = try await server.open("r1")
    let state = server.directory + "/elsewhere"
    let error = await #expect(throws: RegistryError.self) {
      try await EtcdRegistry.open(server.configuration("r1", state: state), logger: quiet)
    }
    #expect(error == .runnerNameTaken("r1", address: "192.0.2.1:7946"))
    #expect(error?.description.contains("another runner is named \"r1\"") == true)
    await first.close()
    let again = try await server.open("r1")
    #expect(try await again.currentView().runners.map(\.name) == ["r1"])
    await again.close()
  }

  @Test func `a drained runner takes no instance, others hear of it, and it outlasts restarts`()
    async throws
  {
    let server = try await EtcdServer()
    let (one, two) = (try await server.open("r1"), try await server.open("r2"))
    _ = try await one.declare(declarations("app"), in: shop, replace: false)
    try await one.setDrained(true)
    await #expect(throws: RegistryError.runnerIsDrained("r1")) {
      try await one.allocateInstance(of: service("app"), in: shop, runner: "r1")
    }
    #expect(try await eventually { try await two.currentView().drainedRunners == ["r1"] })
    _ = try await two.allocateInstance(of: service("app"), in: shop, runner: "r2")
    await one.close()
    let again = try await server.open("r1")
    #expect(try await again.currentView().drainedRunners == ["r1"])
    try await again.setDrained(false)
    #expect(try await eventually { try await two.currentView().drainedRunners.isEmpty })
    _ = try await again.allocateInstance(of: service("app"), in: shop, runner: "r1")
    // What cannot be said in etcd is not so here either.
    server.stop()
    await #expect(throws: RegistryError.self) { try await again.setDrained(true) }
    await again.close()
    await two.close()
  }

  @Test func `deployment ids are each runner's own and outlast restarts`() async throws {
    let server = try await EtcdServer()
    let one = try await server.open("r1")
    _ = try await one.declare(declarations("a"), in: other, replace: false)
    _ = try await one.declare([], in: other, replace: true)
    _ = try await one.declare(declarations("a"), in: shop, replace: false)
    let two = try await server.open("r2")
    #expect(try await one.deployments() == [Deployment(name: shop, id: 2)])
    #expect(try await two.deployments() == [Deployment(name: shop, id: 1)])
    await one.close()
    let again = try await server.open("r1")
    #expect(try await again.deployments() == [Deployment(name: shop, id: 2)])
    await again.close()
    await two.close()
  }

  @Test func `names with odd characters keep to their own keys`() async throws {
    let server = try await EtcdServer()
    let runner = "a/b%2F\u{1}\u{7f} ü"
    let registry = try await server.open(runner)
    let names = ["ä-1", "数据库", "a.b_c"]
    for (index, text) in names.enumerated() {
      _ = try await registry.declare(declarations(text), in: name("d-\(index).x"), replace: false)
      let instance = try await registry.allocateInstance(
        of: service(text), in: name("d-\(index).x"), runner: runner)
      #expect(instance.number == 2)
    }
    // The same letter as one code point and as two, in two deployments.
    _ = try await registry.declare(declarations("a\u{308}-1"), in: shop, replace: false)
    let watcher = try await server.open("a")
    let view = try await watcher.currentView()
    #expect(Set(view.instances.map(\.service)) == Set(names.map { service($0) }))
    #expect(view.instances.allSatisfy { $0.runner == runner })
    #expect(view.services.count == 4)
    #expect(
      try server.ctl("get", "--prefix", "--keys-only", "/istbpf/v1/test/runners/")
        .contains("/istbpf/v1/test/runners/a%2Fb%252F%01%7F ü\n"))
    await registry.close()
    await watcher.close()
  }

  @Test func `the numbers of a runner that is gone for ever are given back by command`()
    async throws
  {
    let server = try await EtcdServer()
    let (one, two) = (try await server.open("r1"), try await server.open("r2"))
    _ = try await one.declare(declarations("app"), in: shop, replace: false)
    _ = try await one.allocateInstance(of: service("app"), in: shop, runner: "r1")
    await #expect(throws: RegistryError.runnerIsThere("r1", address: "192.0.2.1:7946")) {
      try await two.forgetRunner("r1")
    }
    try await one.leave()
    #expect(try await two.allocateInstance(of: service("app"), in: shop, runner: "r2").number == 3)
    #expect(try await two.forgetRunner("r1") == 1)
    #expect(try await two.forgetRunner("r1") == 0)
    // Given away meanwhile, the address is not this runner's any more when it is back.
    for _ in 4...254 {
      _ = try await two.allocateInstance(of: service("app"), in: shop, runner: "r2")
    }
    #expect(try await two.allocateInstance(of: service("app"), in: shop, runner: "r2").number == 2)
    let back = try await server.open("r1")
    let view = try await back.currentView()
    #expect(view.condition.displaced.map(\.number) == [2])
    #expect(view.instances.first { $0.number == 2 }?.runner == "r2")
    await back.close()
    await two.close()
  }
}
