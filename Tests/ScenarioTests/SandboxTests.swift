import Foundation
import TestSupport
import Testing

@Suite("What istbpf run makes of a command", .timeLimit(.minutes(10)))
struct SandboxTests {
  @Test("The environment names every service and who the instance is")
  func environment() async throws {
    try await RunnerLaboratory.withoutDaemon { runner in
      try runner.startDaemon(options: ["--runner-name", "left"])
      try runner.deploy("shop", "app:9000", "my-db")
      let app = try runner.instance(of: "shop/app", options: ["--env", "A=b=c", "--env", "EMPTY="])
      for (name, value) in [
        ("WARP_IST_app", "198.18.1.1"), ("WARP_IST_my-db", "198.18.2.1"),
        ("WARP_IST_my_db", "198.18.2.1"), ("WARP_DEPLOYMENT", "shop"), ("WARP_SERVICE", "app"),
        ("WARP_RUNNER", "left"), ("WARP_PORT", "9000"), ("A", "b=c"), ("EMPTY", ""),
      ] {
        #expect(try app.tell("variable", name) == value, "\(name)")
      }
      #expect(try app.tell("resolve", "my-db.warp") == "198.18.2.1")
      try runner.deploy("shop", "cache")
      #expect(try app.tell("resolve", "cache.warp") == "198.18.3.1", "declared while it runs")
      #expect(try !run("cat", "/etc/hosts").output.contains(".warp"), "the host's has no such name")
    }
  }

  @Test("With --user the command is that user, with its groups and home and no capability")
  func user() async throws {
    try await RunnerLaboratory.with { runner in
      try runner.deploy("shop", "app")
      let app = try runner.instance(of: "shop/app", options: ["--user", "nobody"])
      #expect(try app.tell("status", "Uid") == "65534 65534 65534 65534")
      #expect(try app.tell("status", "Gid") == "65534 65534 65534 65534")
      #expect(try app.tell("status", "Groups") == "65534")
      for set in ["CapEff", "CapPrm", "CapInh", "CapAmb"] {
        #expect(try app.tell("status", set) == "0000000000000000", "\(set)")
      }
      #expect(try app.tell("variable", "USER") == "nobody")
      let number = try runner.instance(of: "shop/app", options: ["--user", "12345:12345"])
      #expect(try number.tell("status", "Uid") == "12345 12345 12345 12345")
    }
  }

  @Test("Root of an instance has a container's capabilities, without the network's, under seccomp")
  func root() async throws {
    try await RunnerLaboratory.with { runner in
      try runner.deploy("shop", "app")
      let app = try runner.instance(of: "shop/app")
      for set in ["CapEff", "CapPrm", "CapBnd"] {
        let bits = try #require(UInt64(try app.tell("status", set), radix: 16))
        // NET_ADMIN, NET_RAW, SYS_PTRACE, SYS_ADMIN, BPF.
        for number in [12, 13, 19, 21, 39] { #expect(bits >> number & 1 == 0, "\(set) \(number)") }
        #expect(bits & 1 == 1, "CHOWN, so that the set was read")
      }
      #expect(try app.tell("status", "Seccomp") == "2")
    }
  }

  @Test("Control socket, registry, bpffs and cgroupfs are out of reach from inside")
  func walls() async throws {
    try await RunnerLaboratory.with { runner in
      try runner.deploy("shop", "app")
      let app = try runner.instance(of: "shop/app")
      let installation = runner.installation
      #expect(try app.tell("entries", installation.runtimeDirectory) == "nothing")
      #expect(try app.tell("entries", installation.stateDirectory) == "nothing")
      #expect(try app.tell("entries", "/sys/fs/bpf") == "nothing")
      #expect(try app.tell("unix_connect", installation.controlSocketPath) == "ENOENT")
      let cgroup = try #require(try runner.listedInstances().first?.cgroup)
      let root = String(cgroup.prefix(upTo: try #require(cgroup.range(of: "/ist")).lowerBound))
      #expect(try app.tell("write", "\(root)/cgroup.procs", "0") == "EROFS")
      #expect(
        try app.tell("write", "\(root)/cgroup.kill", "1") == "EROFS", "its own, not the root's")
      #expect(try app.tell("write", "\(cgroup)/cgroup.kill", "1") == "ENOENT")
      #expect(try app.tell("write", "/etc/hosts", "") == "EROFS")
      // The host's own view, through a process of the host.
      for path in [installation.controlSocketPath, "/etc/hosts"] {
        #expect(try app.tell("entries", "/proc/1/root" + path) == "EACCES")
      }
    }
  }

  @Test("A descriptor of the host is not inherited")
  func descriptors() async throws {
    try await RunnerLaboratory.with { runner in
      try runner.deploy("shop", "app")
      let command = try runner.commandLine(
        ["run", "-d", "shop", "-s", "app", "--", "ls", "/proc/self/fd"])
      let result = try run(["bash", "-c", "exec 9</etc/hostname; exec env \"$@\"", "-"] + command)
      // 3 is what ls reads the directory with.
      #expect(result.output == "0\n1\n2\n3\n", "\(result.errors)")
    }
  }
}
