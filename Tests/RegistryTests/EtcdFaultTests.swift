import Foundation
import Glibc
import Model
import Registry
import RegistryEtcd
import Testing

@Suite(.serialized) struct EtcdFaultTests {
  private func instance(_ registry: EtcdRegistry) async throws -> Instance {
    _ = try await registry.declare(declarations("app"), in: shop, replace: false)
    return try await registry.allocateInstance(
      of: service("app"), in: shop, runner: registry.configuration.runner)
  }

  @Test func `a runner that died is gone from the others when its lease ends`() async throws {
    let server = try await EtcdServer()
    let (one, two) = (try await server.open("r1"), try await server.open("r2"))
    let first = try await instance(one)
    let second = try await instance(two)
    await one.close()
    #expect(try await two.instances() == [first, second])
    #expect(try await eventually(within: 10) { try await two.instances() == [second] })
    #expect(try await two.currentView().runners.map(\.name) == ["r2"])
    // It may only be cut off, so its number is nobody else's.
    #expect(try await instance(two).number == 4)
    let back = try await server.open("r1")
    #expect(try await eventually { try await two.instances().contains(first) })
    #expect(try await back.releaseInstance(first))
    await back.close()
    await two.close()
  }

  @Test func `a lost lease is made again with the runner's keys`() async throws {
    let server = try await EtcdServer()
    let (one, two) = (try await server.open("r1"), try await server.open("r2"))
    let first = try await instance(one)
    let leases = try server.ctl("lease", "list").split(separator: "\n").dropFirst()
    for lease in leases { try server.ctl("lease", "revoke", String(lease)) }
    #expect(
      try await eventually {
        let keys = try server.ctl("get", "--prefix", "--keys-only", "/istbpf/v1/test/")
        return keys.contains("/endpoints/r1/shop/app/\(first.number)")
          && keys.contains("/runners/r2")
      })
    #expect(try await one.instances() == [first])
    #expect(try await eventually { try await two.instances() == [first] })
    await one.close()
    await two.close()
  }

  @Test func `with etcd away the state is kept and then made up for`() async throws {
    let server = try await EtcdServer()
    let (one, two) = (try await server.open("r1"), try await server.open("r2"))
    let first = try await instance(one)
    let second = try await instance(one)
    #expect(try await eventually { try await two.instances().count == 2 })
    server.stop()
    #expect(try await eventually { try await two.currentView().condition.isCurrent == false })
    #expect(try await two.instances() == [first, second])
    let error = await #expect(throws: RegistryError.self) { try await instance(two) }
    guard case .unreachable([server.url], _) = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    // An instance can end all the same.
    #expect(try await one.releaseInstance(first))
    #expect(try await one.instances() == [second])
    try await server.start()
    #expect(try await eventually { try await two.instances() == [second] })
    #expect(try await eventually { try await one.currentView().condition == ClusterCondition() })
    #expect(try await instance(two).number == 4)
    await one.close()
    await two.close()
  }

  @Test func `compaction while disconnected is answered by a new listing`() async throws {
    let server = try await EtcdServer()
    let one = try await server.open("r1")
    let first = try await instance(one)
    // A connection that can be held up: everything of r2 goes through a socket that is not read.
    let forwarder = try Forwarder(to: server.port)
    let two = try await server.open("r2") {
      $0.endpoints = ["http://127.0.0.1:\(forwarder.port)"]
      $0.leaseSeconds = 30
    }
    #expect(try await two.instances() == [first])
    forwarder.cut()
    #expect(try await eventually { try await two.currentView().condition.isCurrent == false })
    #expect(try await one.releaseInstance(first))
    let second = try await instance(one)
    try server.ctl("compact", "\(server.revision())")
    #expect(try await two.instances() == [first])
    forwarder.resume()
    #expect(try await eventually { try await two.instances() == [second] })
    #expect(try await eventually { try await two.currentView().condition.isCurrent })
    await one.close()
    await two.close()
  }

  @Test func `all endpoints deleted at once are held and put again by their runners`() async throws
  {
    let server = try await EtcdServer()
    let (one, two) = (try await server.open("r1"), try await server.open("r2"))
    let all = [try await instance(one), try await instance(one), try await instance(one)]
    #expect(try await eventually { try await two.instances() == all })
    let views = await two.views()
    let task = Task {
      var views = views.makeAsyncIterator()
      var losses: [HeldLoss?] = []
      var fewest = Int.max
      while let view = await views.next() {
        fewest = min(fewest, view.instances.count)
        if losses.last != view.condition.heldLoss { losses.append(view.condition.heldLoss) }
        if losses.count > 2 { break }
      }
      return (losses, fewest)
    }
    try server.ctl("del", "--prefix", "/istbpf/v1/test/endpoints/")
    let (losses, fewest) = await task.value
    #expect(losses.first == .some(nil) && losses.last == .some(nil))
    #expect(losses.contains(HeldLoss(missing: 3, total: 3)))
    #expect(fewest == 3)
    #expect(
      try server.ctl("get", "--prefix", "--keys-only", "/istbpf/v1/test/endpoints/")
        .split(separator: "\n").count == 3)
    await one.close()
    await two.close()
  }

  @Test(arguments: [false, true]) func `a loss is held until it is confirmed`(
    byCommand: Bool
  ) async throws {
    let server = try await EtcdServer()
    let one = try await server.open("r1")
    let two = try await server.open("r2") {
      $0.lossConfirmation = byCommand ? .seconds(600) : .milliseconds(1500)
    }
    let all = [try await instance(one), try await instance(one)]
    #expect(try await eventually { try await two.instances() == all })
    await one.close()
    // With the services and numbers too, as by the worst of commands.
    try server.ctl("del", "--prefix", "/istbpf/v1/test/")
    #expect(
      try await eventually {
        try await two.currentView().condition.heldLoss == HeldLoss(missing: 2, total: 2)
      })
    #expect(try await two.instances() == all)
    #expect(try await two.services(of: shop).count == 1)
    if byCommand { await two.confirmLoss() }
    #expect(try await eventually { try await two.instances().isEmpty })
    #expect(try await two.currentView().condition.heldLoss == nil)
    #expect(try await two.deployments().isEmpty)
    await two.close()
  }

  @Test func `a daemon that starts while etcd is down has the last known state`() async throws {
    let server = try await EtcdServer()
    let (one, two) = (try await server.open("r1"), try await server.open("r2"))
    let first = try await instance(one)
    let second = try await instance(two)
    #expect(try await eventually { try await two.instances().count == 2 })
    let view = try await two.currentView()
    await two.close()
    await one.close()
    server.stop()
    let again = try await server.open("r2")
    let cached = try await again.currentView()
    #expect(cached.changes(since: view).isEmpty)
    #expect(cached.condition.isCurrent == false)
    guard case .unreachable = cached.condition.problem else {
      Issue.record("\(String(describing: cached.condition.problem))")
      return
    }
    #expect(try await again.instances() == [first, second])
    #expect(try await again.deployments() == view.deployments)
    // A runner that never knew anything has nothing to serve.
    let error = await #expect(throws: RegistryError.self) { try await server.open("r3") }
    #expect(error?.description.contains("cannot be reached at \(server.url)") == true)
    // Each thing is said once.
    #expect(error?.description.components(separatedBy: server.url).count == 2, "\(error!)")
    #expect(error?.description.contains("..") == false, "\(error!)")
    try await server.start()
    #expect(try await eventually { try await again.currentView().condition == ClusterCondition() })
    #expect(try await again.instances().contains(second))
    await again.close()
  }

  @Test func `an etcd that was made anew gets this runner's instances again`() async throws {
    let server = try await EtcdServer()
    let one = try await server.open("r1")
    let first = try await instance(one)
    for index in 0..<20 {
      _ = try await one.declare(declarations("s\(index)"), in: other, replace: false)
    }
    server.stop()
    try FileManager.default.removeItem(atPath: server.directory + "/data")
    try await server.start()
    #expect(
      try await eventually {
        try server.ctl("get", "--prefix", "--keys-only", "/istbpf/v1/test/endpoints/")
          .contains("/r1/shop/app/2")
      })
    #expect(try await one.instances() == [first])
    await one.close()
  }

  @Test func `a call goes to the next server when one is down`() async throws {
    let server = try await EtcdServer()
    let one = try await server.open("r1") {
      $0.endpoints = ["http://127.0.0.1:1", server.url]
    }
    #expect(try await instance(one).number == 2)
    await one.close()
  }

  @Test func `a record of a later version is passed over and not written over`() async throws {
    let server = try await EtcdServer()
    let one = try await server.open("r1")
    _ = try await instance(one)
    let key = "/istbpf/v1/test/allocations/shop/instances/1"
    for value in [#"{"v":2,"numbers":{}}"#, "{", #"{"v":1,"taken":{"1":{}},"released":[]}"#] {
      try server.ctl("put", key, value)
      let error = await #expect(throws: RegistryError.self) { try await instance(one) }
      guard case .unreadable(key, _) = error else {
        Issue.record("\(String(describing: error))")
        return
      }
      #expect(try server.ctl("get", "--print-value-only", key) == value + "\n")
    }
    try server.ctl(
      "put", "/istbpf/v1/test/endpoints/r9/shop/app/7", #"{"serviceNumber":9999,"v":1}"#)
    try server.ctl("put", "/istbpf/v1/test/who/knows", "x")
    #expect(try await one.instances().map(\.number) == [2])
    await one.close()
  }
}
