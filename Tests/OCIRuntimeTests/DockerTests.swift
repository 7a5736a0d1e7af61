import EngineTestSupport
import Foundation
import TestSupport
import Testing

@Suite("Containers of Docker", .timeLimit(.minutes(10)))
struct DockerTests {
  private static let server = ["nc", "-ll", "-p", "3211", "-e", "sh", "-c", "echo hello; exec cat"]

  @discardableResult
  private func startServer(_ docker: DockerLaboratory, _ options: [String] = []) throws -> String {
    let result = try run(
      docker.commandLine(
        "shop/db", ["--detach", "--network", "none", "--name", "db"] + options, Self.server))
    #expect(result.status == 0, "\(result.errors)")
    return result.output.trimmingCharacters(in: .whitespacesAndNewlines)
  }

  @Test("An instance goes on, guarded, while dockerd and containerd end, are killed and come back")
  func live() async throws {
    try await DockerLaboratory.with(options: ["--live-restore"]) { docker in
      let container = try startServer(docker)
      let app = try docker.runner.instance(of: "shop/app")
      #expect(
        try docker.runner.eventually { try app.tell("hold", "$WARP_IST_db", 3211) == "hello" })
      let before = try docker.runner.listedInstances().first { $0.container == container }
      func expectAsBefore(_ moment: String) throws {
        #expect(try app.tell("echo", "$WARP_IST_db", 3211) == "ping", "\(moment)")
        let now = try docker.runner.listedInstances().first { $0.container == container }
        #expect(now?.instance == before?.instance && now?.isGuarded == true, "\(moment)")
      }
      for signal in [SIGKILL, SIGTERM] {
        try docker.endDaemon(signal)
        try expectAsBefore("without dockerd, \(signal)")
        try docker.startDaemon()
        try expectAsBefore("with a new dockerd, \(signal)")
        let guarded = try docker.docker(["exec", "db", "nc", "-w", "2", "192.0.2.1", "80"])
        #expect(guarded.errors.contains("Operation not permitted"), "\(guarded)")
      }
      kill(try docker.containerd(), SIGKILL)
      try expectAsBefore("without containerd")
      #expect(
        try docker.runner.eventually(within: 60) {
          try docker.docker(["exec", "db", "true"]).status == 0
        })
      try expectAsBefore("with a new containerd")
      try docker.succeed("restart", "--time", "0", "db")
      #expect(try docker.runner.eventually { try app.connect("$WARP_IST_db", 3211) == "hello" })
      let listed = try docker.runner.listedInstances()
      #expect(listed.count == 2 && listed.allSatisfy { $0.isGuarded })
    }
  }

  @Test("doctor tells that dockerd has not read the file that names the runtime, until it has")
  func unread() async throws {
    try await DockerLaboratory.with { docker in
      let seeing = """
        mount -t tmpfs tmpfs /etc/docker
        cp \(docker.directory)/daemon.json /etc/docker/
        export DOCKER_HOST=unix://\(docker.socket)
        exec "$@"
        """
      func finding() throws -> String {
        try docker.runner.istbpf(
          ["doctor"], wrapper: ["unshare", "--mount", "bash", "-ec", seeing, "bash"]
        )
        .output.split(separator: "\n").first { $0.contains("runtime of docker") }.map(String.init)
          ?? ""
      }
      let read = try finding()
      #expect(read.contains("istbpf-oci, in /etc/docker/daemon.json"), "\(read)")
      let file = "\(docker.directory)/daemon.json"
      try #"{"runtimes": {"other": {"path": "/usr/sbin/runc"}}}"#.write(
        toFile: file, atomically: true, encoding: .utf8)
      docker.reload()
      #expect(
        try docker.runner.eventually {
          try !docker.docker(["info", "--format", "{{json .Runtimes}}"]).output.contains(
            "\"istbpf\"")
        })
      let configured = try run(
        try Product.istbpf(), "runtime", "configure", "--engine", "docker", "--runtime-path",
        "\(docker.directory)/istbpf-oci", "--config-file", file)
      #expect(configured.status == 0, "\(configured.errors)")
      let unread = try finding()
      #expect(unread.contains("dockerd has not read that yet"), "\(unread)")
      docker.reload()
      #expect(try docker.runner.eventually { try finding() == read })
    }
  }

  @Test("Whichever process of the engine is killed, nothing of the instance is left over")
  func killed() async throws {
    try await DockerLaboratory.with { docker in
      for victim in ["the container's", "the shim", "dockerd"] {
        let container = try startServer(docker)
        #expect(try docker.runner.listedInstances().map(\.container) == [container], "\(victim)")
        switch victim {
        case "the container's": kill(try docker.process(of: "db"), SIGKILL)
        case "the shim": kill(try docker.shim(of: "db"), SIGKILL)
        default:
          try docker.endDaemon(SIGKILL)
          #expect(try docker.runner.listedInstances().allSatisfy { $0.isGuarded })
          // It ends containers that it finds, unless they are to be kept.
          try docker.startDaemon()
        }
        #expect(
          try docker.runner.eventually(within: 20) {
            try docker.runner.listedInstances().isEmpty
          }, "\(victim)")
        try docker.docker(["rm", "--force", "db"])
        let records = docker.runner.installation.containersDirectory
        #expect(
          try docker.runner.eventually {
            try FileManager.default.contentsOfDirectory(atPath: records).isEmpty
          })
      }
    }
  }

  @Test("A container that Docker starts again becomes an instance again, and the old one is gone")
  func restarted() async throws {
    try await DockerLaboratory.with { docker in
      let container = try startServer(docker, ["--restart", "always"])
      let app = try docker.runner.instance(of: "shop/app")
      var earlier: Set<Int32> = []
      for _ in 1...2 {
        let process = try docker.process(of: "db")
        #expect(earlier.insert(process).inserted)
        #expect(
          try docker.runner.eventually { try app.connect("$WARP_IST_db", 3211) == "hello" })
        kill(process, SIGKILL)
        let isBack = try docker.runner.eventually(within: 20) {
          let listed = try docker.runner.listedInstances().filter { $0.container == container }
          return listed.count == 1 && listed[0].isGuarded && !listed[0].pids.contains(process)
        }
        let listed = try docker.runner.listedInstances()
        #expect(isBack, "\(listed)")
      }
    }
  }

  @Test("20 containers that start at once are 20 instances, and end as such")
  func atOnce() async throws {
    try await DockerLaboratory.with { docker in
      let starts = try (1...20).map { number in
        try Conversation(
          docker.commandLine(
            "shop/app", ["--detach", "--network", "none", "--name", "a\(number)"],
            ["sleep", "1000"]))
      }
      for start in starts { #expect(start.awaitEnd() == 0, "\(start.errorText)") }
      let listed = try docker.runner.listedInstances()
      #expect(listed.count == 20 && Set(listed.map(\.address)).count == 20)
      #expect(listed.allSatisfy { $0.isGuarded })
      #expect(Set(listed.compactMap(\.container)).count == 20)
      let names = (1...20).map { "a\($0)" }
      #expect(try docker.docker(["rm", "--force"] + names).status == 0)
      #expect(
        try docker.runner.eventually(within: 20) { try docker.runner.listedInstances().isEmpty })
    }
  }

  /// Files of users that one dockerd sees, and nobody else.
  private static let ownUsers = [
    "unshare", "--mount", "--propagation", "private", "bash", "-ec",
    """
    directory=$(mktemp -d)
    for name in passwd group; do
      cp /etc/$name $directory
      mount --bind $directory/$name /etc/$name
    done
    echo 'dockremap:x:64000:64000::/:/bin/false' >>/etc/passwd
    echo 'dockremap:x:64000:' >>/etc/group
    for name in subuid subgid; do
      touch /etc/$name
      echo 'dockremap:200000:65536' >$directory/$name
      mount --bind $directory/$name /etc/$name
    done
    exec "$@"
    """, "bash",
  ]

  @Test("With users remapped, a container is an instance, whose root is nobody of the host's")
  func remapped() async throws {
    try await DockerLaboratory.with(
      options: ["--userns-remap", "dockremap"], wrapper: Self.ownUsers
    ) { docker in
      try startServer(docker)
      let app = try docker.instance(of: "shop/app", ["--network", "none"])
      let user = try run("ps", "-o", "uid=", "-p", "\(docker.process(of: "db"))").output
      #expect(user.contains("200000"), "\(user)")
      #expect(
        try docker.runner.eventually { try app.connect("$WARP_IST_db", 3211) == "hello" })
      #expect(try app.connect("192.0.2.1", 80) == "EPERM")
      #expect(try app.tell("make_socket", 17, 3, 0) != "made")
      #expect(try docker.runner.listedInstances().allSatisfy { $0.isGuarded })
    }
  }
}
