import EngineTestSupport
import Foundation
import TestSupport
import Testing

@Suite("Pods and units of podman", .timeLimit(.minutes(10)))
struct PodTests {
  /// podman by a containers.conf, since what holds a pod's namespaces takes no options.
  private func program(_ podman: PodmanLaboratory) throws -> String {
    try podman.configured(
      by: """
        [containers]
        default_ulimits = ["nofile=1024:1024", "nproc=100:100"]
        [engine]
        runtime = "istbpf"
        [engine.runtimes]
        istbpf = ["\(podman.runtime)"]
        """)
  }

  @Test("One container of a pod is the instance, and the others are as they were")
  func pod() async throws {
    try await PodmanLaboratory.with { podman in
      let program = try program(podman)
      func succeed(_ arguments: String...) throws -> String {
        let result = try run([program] + arguments)
        #expect(result.status == 0, "\(arguments): \(result.errors)")
        return result.output.trimmingCharacters(in: .whitespacesAndNewlines)
      }
      let annotations = ["deployment=shop", "service=app"].flatMap {
        ["--annotation", "io.istbpf.\($0)"]
      }
      _ = try succeed(
        "pod", "create", "--name", "p", "--network", podman.network, "--cgroup-parent",
        podman.cgroupParent)
      _ = try succeed(
        "run", "--detach", "--pod", "p", "--name", "p-o", "tools", "nc", "-ll", "-p", "8080", "-e",
        "echo", "plain")
      let command = [program, "run", "--detach", "--pod", "p"] + annotations
      let made = try run(command + ["--name", "p-a", "tools", "sleep", "1000"])
      #expect(made.status == 0, "\(made.errors)")
      let refused = try run(command + ["tools", "sleep", "1000"])
      #expect(refused.status != 0 && refused.errors.contains("has an ist0 already"), "\(refused)")

      try podman.start("db", "shop/db", "nc -ll -p 3211 -e echo hello")
      func told(_ container: String, _ command: String) throws -> String {
        let result = try run(program, "exec", container, "sh", "-c", command)
        return result.output + result.errors
      }
      #expect(try told("p-a", "nc -w 2 db.warp 3211") == "hello\n")
      #expect(try told("p-a", "nc -w 2 127.0.0.1 8080").contains("refused"))
      #expect(try told("p-a", "nc -w 2 192.0.2.1 80").contains("not permitted"))
      #expect(try told("p-o", "nc -w 2 127.0.0.1 8080") == "plain\n")
      #expect(
        try told("p-o", "timeout 2 nc 198.18.2.1 3211 || echo nothing").contains("nothing\n"))
      let listed = try podman.runner.listedInstances()
      #expect(listed.map(\.container).contains(made.output.trimmingCharacters(in: .newlines)))
      #expect(listed.count == 2 && listed.allSatisfy { $0.isGuarded && $0.engine == "podman" })
      for words in [["pod", "rm", "--force", "--time", "0", "p"]] {
        #expect(try run([program] + words).status == 0)
      }
      #expect(try podman.runner.eventually { try podman.instances() == ["db"] })
    }
  }

  private static let pod = """
    apiVersion: v1
    kind: Pod
    metadata:
      name: NAME
      annotations:
        io.istbpf.deployment: shop
        io.istbpf.service: db
    spec:
      containers:
      - name: server
        image: localhost/tools:latest
        imagePullPolicy: Never
        command: ["/bin/nc", "-ll", "-p", "3211", "-e", "/bin/echo", "hello"]
    """

  @Test("podman kube play makes a pod's container the instance that the pod's annotations name")
  func kubePlay() async throws {
    try await PodmanLaboratory.with { podman in
      let program = try program(podman)
      let name = podman.runner.installation.name
      let file = "\(podman.directory)/pod.yaml"
      try Self.pod.replacingOccurrences(of: "NAME", with: name)
        .write(toFile: file, atomically: true, encoding: .utf8)
      let played = try run(program, "kube", "play", "--network", podman.network, file)
      #expect(played.status == 0, "\(played.errors)")
      let app = try podman.instance(of: "shop/app")
      #expect(try podman.runner.eventually { try app.connect("$WARP_IST_db", 3211) == "hello" })
      let listed = try podman.runner.listedInstances()
      #expect(listed.count == 2 && listed.allSatisfy { $0.isGuarded && $0.engine == "podman" })
      let down = try run(program, "kube", "down", file)
      #expect(down.status == 0, "\(down.errors)")
      // The cgroup of pods for which nothing else is said; it stays where others have theirs in it.
      _ = try run(
        "bash", "-c", "find /sys/fs/cgroup -depth -type d -name libpod_parent -exec rmdir {} +")
      #expect(try podman.runner.eventually { try podman.instances() == ["app"] })
    }
  }

  @Test("What podman generates for systemd starts an instance")
  func unit() async throws {
    try await PodmanLaboratory.with { podman in
      let created = try run(
        podman.commandLine(
          ["create", "--name", "db"] + podman.options("shop/db", network: "none")
            + ["tools", "nc", "-ll", "-p", "3211", "-e", "echo", "hello"]))
      #expect(created.status == 0, "\(created.errors)")
      let unit = try podman.succeed("generate", "systemd", "--new", "--name", "db").output
      try podman.succeed("rm", "db")
      // What the manager would do.
      let text = unit.replacingOccurrences(of: "\\\n", with: " ")
        .replacingOccurrences(of: "%t", with: podman.directory)
        .replacingOccurrences(of: "%n", with: "container-db.service")
      let start = try #require(
        text.split(separator: "\n").first { $0.hasPrefix("ExecStart=") }?.dropFirst(10))
      let result = try run("sh", "-c", String(start))
      #expect(result.status == 0, "\(start): \(result.errors)")
      let app = try podman.instance(of: "shop/app")
      #expect(try podman.runner.eventually { try app.connect("$WARP_IST_db", 3211) == "hello" })
    }
  }

  @Test("A container that podman starts again becomes an instance again, and the old one is gone")
  func restarted() async throws {
    try await PodmanLaboratory.with { podman in
      let started = try run(
        podman.commandLine(
          ["run", "--detach", "--name", "db", "--restart", "always"]
            + podman.options("shop/db", network: "none")
            + ["tools", "nc", "-ll", "-p", "3211", "-e", "echo", "hello"]))
      #expect(started.status == 0, "\(started.errors)")
      let app = try podman.runner.instance(of: "shop/app")
      #expect(try podman.runner.eventually { try app.connect("$WARP_IST_db", 3211) == "hello" })
      let old = try #require(
        try podman.runner.listedInstances().first { $0.container != nil }?.pids.first)
      kill(old, SIGKILL)
      let isBack = try podman.runner.eventually(within: 20) {
        let listed = try podman.runner.listedInstances().filter { $0.container != nil }
        return listed.count == 1 && listed[0].isGuarded && !listed[0].pids.contains(old)
      }
      let listed = try podman.runner.listedInstances()
      #expect(isBack, "\(listed)")
      #expect(try podman.runner.eventually { try app.connect("$WARP_IST_db", 3211) == "hello" })
    }
  }

  @Test("20 containers that start at once are 20 instances, and end as such")
  func atOnce() async throws {
    try await PodmanLaboratory.with { podman in
      let starts = try (1...20).map { _ in
        try Conversation(
          podman.commandLine(
            ["run", "--detach"] + podman.options("shop/app", network: "none")
              + ["tools", "sleep", "1000"]))
      }
      for start in starts { #expect(start.awaitEnd() == 0, "\(start.errorText)") }
      let listed = try podman.runner.listedInstances()
      #expect(listed.count == 20 && Set(listed.map(\.address)).count == 20)
      #expect(listed.allSatisfy { $0.isGuarded })
      try podman.succeed("rm", "--all", "--force", "--time", "0")
      #expect(try podman.runner.eventually { try podman.leftovers().isEmpty })
    }
  }
}
