import EngineTestSupport
import Foundation
import TestSupport
import Testing

@Suite("Pods of containerd's CRI", .timeLimit(.minutes(10)))
struct CRITests {
  private static let service = ["io.istbpf.deployment": "shop"]
  private static func annotations(_ service: String) -> [String: String] {
    ["io.istbpf.deployment": "shop", "io.istbpf.service": service]
  }
  private static let server = "nc -ll -p 3211 -e sh -c 'echo hello; exec cat'"

  @Test(
    "A pod's annotations or a container's variables make its container the instance, and nothing else of it"
  )
  func pods() async throws {
    try await CRILaboratory.with(configuration: Documentation.block("toml", with: "BinaryName")) {
      cri in
      let db = try cri.pod("db", annotations: Self.annotations("db"))
      #expect(
        try cri.runner.listedInstances().isEmpty, "what holds the pod's namespaces is no instance")
      let first = try cri.create("db", in: db, Self.server)
      #expect(try cri.start(first).status == 0)
      var listed = try cri.runner.listedInstances()
      #expect(listed.map(\.container) == [first] && listed.map(\.engine) == ["containerd-cri"])

      // Kubernetes has annotations for pods only, and variables for each container.
      let app = try cri.pod("app")
      let plain = try cri.create("plain", in: app, "nc -ll -p 8080 -e echo plain")
      #expect(try cri.start(plain).status == 0)
      let client = try cri.create(
        "app", in: app, variables: ["WARP_DEPLOYMENT": "shop", "WARP_SERVICE": "app"],
        "nc -w 2 $WARP_IST_db 3211 >/tmp/said; exec sleep 1000")
      #expect(try cri.start(client).status == 0)
      #expect(
        try cri.runner.eventually { try cri.execute(in: client, "cat /tmp/said") == "hello\n" })
      #expect(try cri.execute(in: client, "nc -w 2 db.warp 3211 </dev/null") == "hello\n")
      for target in ["192.0.2.1 80", "\(cri.gateway) 22"] {
        #expect(
          try cri.execute(in: client, "nc -w 2 \(target)").contains("Operation not permitted"))
      }
      #expect(try cri.execute(in: client, "nc -w 2 127.0.0.1 8080").contains("refused"))
      // The other container is as it was, and has no way in.
      #expect(try cri.execute(in: plain, "nc -w 2 127.0.0.1 8080") == "plain\n")
      #expect(
        try cri.execute(in: plain, "timeout 2 nc 198.18.2.1 3211 || echo nothing")
          .hasSuffix("nothing\n"))
      listed = try cri.runner.listedInstances()
      #expect(listed.map(\.container) == [client, first] && listed.allSatisfy { $0.isGuarded })

      // A container that takes the place of one that ended, in the same namespaces.
      try cri.remove(first)
      #expect(try cri.runner.eventually { try cri.runner.listedInstances().count == 1 })
      let second = try cri.create("db", in: db, Self.server)
      #expect(try cri.start(second).status == 0)
      #expect(
        try cri.runner.eventually {
          try cri.execute(in: client, "nc -w 2 db.warp 3211 </dev/null") == "hello\n"
        })
      // One of the containers of a pod can be the instance.
      let third = try cri.create("another", in: db, "exec sleep 1000")
      let refused = try cri.start(third)
      #expect(refused.status != 0 && refused.errors.contains("has an ist0 already"), "\(refused)")
    }
  }

  @Test("A pod that shares the node's network or its own processes is refused, and says why")
  func refusals() async throws {
    try await CRILaboratory.with(configuration: Documentation.block("toml", with: "BinaryName")) {
      cri in
      for (name, options, reason) in [
        ("network", ["pid": "CONTAINER", "network": "NODE"], "it is the host's own"),
        ("processes", ["pid": "POD"], "no instance of the same service"),
        ("all", ["pid": "NODE"], "without --pid host"),
        ("memory", ["pid": "CONTAINER", "ipc": "NODE"], "the host's shared memory"),
      ] {
        let pod = try cri.pod(name, annotations: Self.annotations("app"), options: options)
        let container = try cri.create("app", in: pod, options: options, "exec sleep 1000")
        let refused = try cri.start(container)
        #expect(refused.status != 0 && refused.errors.contains(reason), "\(name): \(refused)")
      }
      #expect(try cri.runner.listedInstances().isEmpty)
    }
  }

  @Test("With containerd or a shim killed, no instance is left unguarded, and none is left over")
  func killed() async throws {
    try await CRILaboratory.with(configuration: Documentation.block("toml", with: "BinaryName")) {
      cri in
      let pod = try cri.pod("db", annotations: Self.annotations("db"))
      let container = try cri.create("db", in: pod, Self.server)
      #expect(try cri.start(container).status == 0)
      let app = try cri.runner.instance(of: "shop/app")
      #expect(try cri.runner.eventually { try app.tell("hold", "$WARP_IST_db", 3211) == "hello" })
      cri.killDaemon()
      #expect(try app.tell("echo", "$WARP_IST_db", 3211) == "ping")
      #expect(try cri.runner.listedInstances().allSatisfy { $0.isGuarded })
      try cri.startDaemon()
      #expect(try app.tell("echo", "$WARP_IST_db", 3211) == "ping")
      #expect(try cri.execute(in: container, "nc -w 2 192.0.2.1 80").contains("not permitted"))

      let instance = try cri.runner.listedInstances().first { $0.container == container }
      kill(try parent(of: try #require(instance?.pids.first)), SIGKILL)
      // containerd ends the containers of a shim that is gone.
      #expect(
        try cri.runner.eventually(within: 20) {
          try cri.runner.listedInstances().map(\.container) == [nil]
        })
      #expect(try app.connect("$WARP_IST_db", 3211) == "ECONNREFUSED")
    }
  }
}
