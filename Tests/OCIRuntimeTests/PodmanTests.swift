import EngineTestSupport
import Foundation
import LinuxSystem
import TestSupport
import Testing

@Suite("Containers of podman", .timeLimit(.minutes(10)))
struct PodmanTests {
  @Test("With a bridge and without a network, containers reach each other and nobody else")
  func reach() async throws {
    try await PodmanLaboratory.with { podman in
      // A service of the host on the bridge, which an ordinary container reaches.
      let ordinary = try podman.instance(of: nil)
      let gateway = try podman.gateway()
      let host = try Conversation(
        ["/usr/bin/python3", "-u", "-c", Self.hostServer, gateway])
      defer { host.stop() }
      let port = try #require(Int(try host.nextLine()))
      #expect(try ordinary.connect(gateway, port) == "host")

      let db = try podman.instance(of: "shop/db", network: "none")
      try db.listen(3211)
      for network in [podman.network, "none"] {
        let app = try podman.instance(of: "shop/app", network: network)
        #expect(try app.connect("$WARP_IST_db", 3211) == "shop/db at 198.18.2.2", "\(network)")
        #expect(try app.connect("db.warp", 3211) == "shop/db at 198.18.2.2")
        #expect(try app.connect(gateway, port) == "EPERM")
        #expect(try app.tell("udp_send", gateway, 53) == "EPERM")
        #expect(try app.connect("198.18.9.1", 1) == "EHOSTUNREACH")
        #expect(try app.connect("db.warp", 1) == "ECONNREFUSED")
      }

      // From the bridge into a container: only into one that is of no service.
      let app = try podman.instance(of: "shop/app")
      for (container, answer) in [(ordinary, true), (app, false)] {
        try container.listen(4000)
        let address = try container.tell("own_address")
        let result = try run("nc", "-w", "2", address, "4000")
        #expect((result.status == 0) == answer, "\(address): \(result.output)\(result.errors)")
      }
    }
  }

  private static let hostServer = """
    import socket, sys
    server = socket.create_server((sys.argv[1], 0))
    print(server.getsockname()[1])
    while True: server.accept()[0].sendall(b"host\\n")
    """

  @Test("The first command of a container is guarded, and finds its variables and names")
  func firstCommand() async throws {
    try await PodmanLaboratory.with { podman in
      let result = try podman.run(
        "shop/app", ["--env", "WARP_IST_db=192.0.2.9", "--add-host", "mine:192.0.2.1"], "sh", "-c",
        "nc -w 2 192.0.2.1 80; env; cat /etc/hosts; echo > /etc/hosts")
      #expect(result.errors.contains("Operation not permitted"), "\(result.errors)")
      #expect(result.errors.contains("/etc/hosts: Read-only file system"))
      for line in [
        "WARP_IST_db=198.18.2.1\n", "WARP_DEPLOYMENT=shop\n", "WARP_SERVICE=app\n",
        "198.18.2.1 db.warp ", "192.0.2.1\tmine",
      ] {
        #expect(result.output.contains(line), "\(line)")
      }
    }
  }

  @Test("A service that is declared later has its name in a running container")
  func laterService() async throws {
    try await PodmanLaboratory.with { podman in
      let app = try podman.instance(of: "shop/app")
      try podman.runner.deploy("shop", "cache")
      #expect(try app.tell("resolve", "cache.warp") == "198.18.3.1")
    }
  }

  @Test(
    "Sockets that no hook sees cannot be made, whatever the profile and the capabilities",
    arguments: ["", "seccomp=unconfined"])
  func families(_ profile: String) async throws {
    try await PodmanLaboratory.with { podman in
      let options = ["--cap-add", "ALL"] + (profile.isEmpty ? [] : ["--security-opt", profile])
      let conversation = try Conversation(
        podman.commandLine(
          ["run", "--rm", "-i"] + PodmanLaboratory.hostPrograms + podman.options("shop/app")
            + options + ["tools"] + TestInstance.command))
      defer { conversation.stop() }
      let app = try TestInstance(conversation)
      for family in [1, 2, 10, 16] {
        #expect(try app.tell("make_socket", family, family == 16 ? 3 : 1, 0) == "made", "\(family)")
      }
      // X25, packet, RDS, vsock, SMC, XDP
      for family in [9, 17, 21, 40, 43, 44] {
        let answer = try app.tell("make_socket", family, 1, 0)
        #expect(["EAFNOSUPPORT", "EPERM", "ENOSYS"].contains(answer), "\(family): \(answer)")
      }
      let bits = try #require(UInt64(try app.tell("status", "CapBnd"), radix: 16))
      for number in [2, 12, 13, 16, 17, 19, 21, 38, 39] {
        #expect(bits >> number & 1 == 0, "\(number)")
      }
      #expect(bits >> 27 & 1 == 1, "MKNOD, which --cap-add gave")
    }
  }

  @Test("Restart, pause and exec work, and an exec is guarded as well")
  func life() async throws {
    try await PodmanLaboratory.with { podman in
      try podman.start("db", "shop/db", "nc -ll -p 3211 -e echo hello")
      let app = try podman.instance(of: "shop/app")
      #expect(try podman.runner.eventually { try app.connect("$WARP_IST_db", 3211) == "hello" })

      try podman.succeed("restart", "--time", "0", "db")
      #expect(try podman.runner.eventually { try podman.instances() == ["app", "db"] })
      #expect(try podman.runner.eventually { try app.connect("$WARP_IST_db", 3211) == "hello" })

      try podman.succeed("pause", "db")
      try podman.succeed("unpause", "db")
      #expect(try app.connect("$WARP_IST_db", 3211) == "hello")

      let executed = try podman.podman(
        "exec", "db", "sh", "-c", "nc -w 2 192.0.2.1 80; cat /etc/hosts")
      #expect(executed.errors.contains("Operation not permitted"), "\(executed.errors)")
      #expect(executed.output.contains("198.18.1.1 app.warp "))

      try podman.succeed("stop", "--time", "0", "db")
      #expect(try podman.runner.eventually { try podman.instances() == ["app"] })
      try podman.succeed("start", "db")
      #expect(try podman.runner.eventually { try app.connect("$WARP_IST_db", 3211) == "hello" })
    }
  }

  @Test("Nothing is left of a container whose first process or whose conmon was killed")
  func killed() async throws {
    try await PodmanLaboratory.with { podman in
      for victim in ["{{.State.Pid}}", "{{.State.ConmonPid}}"] {
        try podman.start("app", "shop/app", "sleep 1000")
        let process = try podman.succeed("inspect", "--format", "{{.State.Pid}}", "app").output
        let text = try podman.succeed("inspect", "--format", victim, "app").output
        kill(try #require(pid_t(text.trimmingCharacters(in: .whitespacesAndNewlines))), SIGKILL)
        // Without conmon the container goes on, until it ends.
        if victim.contains("Conmon") {
          usleep(300_000)
          #expect(try podman.instances() == ["app"])
          kill(
            try #require(pid_t(process.trimmingCharacters(in: .whitespacesAndNewlines))), SIGKILL)
        }
        #expect(try podman.runner.eventually { try podman.instances().isEmpty }, "\(victim)")
        // podman removes a container that has no conmon, but says that it failed.
        try podman.podman("rm", "--force", "--time", "0", "app")
        #expect(try podman.runner.eventually { try podman.leftovers().isEmpty })
      }
    }
  }

  @Test("A daemon that is started anew adopts containers")
  func adopted() async throws {
    try await PodmanLaboratory.with { podman in
      try podman.start("db", "shop/db", "nc -ll -p 3211 -e echo hello")
      try podman.start("gone", "shop/db", "sleep 1000")
      let app = try podman.instance(of: "shop/app")
      let listed = try podman.runner.listedInstances()
      let before = listed.map(\.address)
      #expect(listed.map(\.engine) == ["podman", "podman", "podman"])
      let id = try #require(listed[1].container)
      #expect(try podman.succeed("ps", "--quiet", "--no-trunc").output.contains(id))
      let table = try podman.runner.istbpf("ps").output
      #expect(table.contains("\(id.prefix(12))  podman"), "\(table)")
      podman.runner.killDaemon()
      #expect(try app.connect("$WARP_IST_db", 3211) == "hello")
      try podman.succeed("rm", "--force", "--time", "0", "gone")
      try podman.runner.startDaemon()
      #expect(try podman.runner.listedInstances().map(\.address) == [before[0], before[1]])
      #expect(try podman.runner.listedInstances().flatMap(\.missingHooks).isEmpty)
      #expect(try podman.runner.listedInstances().map(\.container).contains(id))
      #expect(try podman.runner.listedInstances().map(\.engine) == ["podman", "podman"])
      #expect(try podman.runner.istbpf("status").output.contains("\(id.prefix(12))  podman"))
      #expect(try app.connect("$WARP_IST_db", 3211) == "hello")
      try podman.runner.deploy("shop", "cache")
      #expect(try app.tell("resolve", "cache.warp") == "198.18.3.1")
    }
  }

  @Test(
    "A daemon that is killed in the middle of create fails that container, and only that one",
    arguments: ["before the hook", "while the hook waits"])
  func killedInCreate(_ moment: String) async throws {
    try await PodmanLaboratory.with { podman in
      try podman.start("db", "shop/db", "nc -ll -p 3211 -e echo hello")
      let daemon = try #require(podman.runner.daemon)
      let isBefore = moment == "before the hook"
      try podman.interpose("kill -\(isBefore ? "KILL" : "STOP") \(daemon.processID)")
      let create = try Conversation(
        podman.commandLine(
          ["run", "--rm"] + podman.options("shop/app") + ["tools", "sleep", "1000"]))
      defer { create.stop() }
      if !isBefore {
        let hook =
          "istbpf-hook attach shop app \(podman.runner.installation.containerHostsDirectory)"
        #expect(
          try podman.runner.eventually(within: 30) { try run("pgrep", "-f", hook).status == 0 })
      } else {
        #expect(podman.runner.eventually(within: 30) { !daemon.isRunning })
      }
      podman.runner.killDaemon()
      #expect(create.awaitEnd() != 0)
      #expect(create.errorText.contains("istbpf: "), "\(create.errorText)")

      try podman.interposeNothing()
      try podman.runner.startDaemon()
      #expect(try podman.runner.eventually { try podman.instances() == ["db"] })
      let app = try podman.instance(of: "shop/app")
      #expect(try app.connect("$WARP_IST_db", 3211) == "hello")
      #expect(try podman.records().count == 2)
      app.program.stop()
      _ = try podman.podman("rm", "--all", "--force", "--time", "0")
      #expect(try podman.runner.eventually { try podman.leftovers().isEmpty })
    }
  }
}

extension PodmanLaboratory {
  /// Starts a container in the background.
  func start(_ name: String, _ service: String, _ command: String) throws {
    let words = command.split(separator: " ").map(String.init)
    let result = try TestSupport.run(
      commandLine(["run", "--detach", "--name", name] + options(service) + ["tools"] + words))
    #expect(result.status == 0, "\(result.errors)")
  }

  /// The services of the running instances.
  func instances() throws -> [String] {
    try runner.listedInstances().map {
      String($0.instance.dropFirst("shop/".count).prefix { $0 != "." })
    }
    .sorted()
  }

  /// The host's address on the containers' network.
  func gateway() throws -> String {
    let text = try succeed(
      "network", "inspect", "--format", "{{(index .Subnets 0).Gateway}}", network
    ).output
    return text.trimmingCharacters(in: .whitespacesAndNewlines)
  }

  /// The prepared hosts files.
  func hostsFiles() -> [String] {
    (try? FileManager.default.contentsOfDirectory(
      atPath: runner.installation.containerHostsDirectory)) ?? []
  }

  /// The daemon's records of containers.
  func records() throws -> [String] {
    let directory = runner.installation.containersDirectory
    return try FileManager.default.contentsOfDirectory(atPath: directory)
      .map { try SmallFile.read("\(directory)/\($0)") }
  }

  /// What the daemon still keeps of containers.
  func leftovers() throws -> [String] { try hostsFiles() + records() }
}
